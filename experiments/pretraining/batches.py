"""Batches of waveforms and their clusters for `fit`, on every backend."""

import dataclasses
import functools

import keras
import numpy as np

from experiments.pretraining.augmentation import change_speed, distort
from experiments.pretraining.recordings import SAMPLE_RATE, read_waveform
from pad_keras.models.wav2vec2.convolutions import frame_counts, receptive_field

# Waveforms are padded to a multiple of this, so that a compiler meets few shapes.
BUCKET_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """Which samples a frame sees.

    Args:
        kernels: tuple of int, of the convolutions.
        strides: tuple of int.
    """

    kernels: tuple
    strides: tuple

    @property
    def width(self):
        """Samples that a frame sees."""
        return receptive_field(self.kernels, self.strides)

    @property
    def hop(self):
        """Samples between two frames."""
        return int(np.prod(self.strides))

    def frames(self, samples):
        """Number of frames of a number of samples."""
        return max(0, int(frame_counts(samples, self.kernels, self.strides)))


class SpeechBatches(keras.utils.PyDataset):
    """Endless reproducible stream of batches of like length, cut into epochs of some steps.

    Args:
        recordings: list of `Recording`.
        front_end: `FrontEnd`.
        steps: int, batches of an epoch.
        batch_seconds: float, padded seconds of audio of a batch.
        max_seconds: float, longer recordings are cut at random.
        clusters: list of int arrays `[frames]`, one a recording, of the recording as it is;
            `None` for batches without targets.
        augmentation: `Augmentation`; `None` for waveforms as they are.
        seed: int.
        first_epoch: int, the epoch that the stream starts at.
        multiple_of: int, that every batch's number of recordings is; what a pass leaves over is
            left out of it.
        share: tuple of ints `(number, parts)`: the batches have this of so many equal parts of
            their recordings, that several processes share one; see `experiments.processes`.
        goes_on: bool, whether an epoch has the next part of the stream. If false all have the
            first one, so that what is measured on them compares.
        **kwargs: of `keras.utils.PyDataset`.

    An item is `({"waveform", "padding_mask"}, clusters)`: `[batch, samples]` float32 and bool,
    `[batch, frames]` int32 with -1 at padding (zeros without `clusters`).
    """

    def __init__(
        self,
        recordings,
        front_end,
        steps,
        batch_seconds=48.0,
        max_seconds=8.0,
        clusters=None,
        augmentation=None,
        seed=0,
        first_epoch=0,
        multiple_of=1,
        share=(0, 1),
        goes_on=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.recordings = recordings
        self.front_end = front_end
        self.steps = steps
        self.batch_seconds = batch_seconds
        self.max_seconds = max_seconds
        self.clusters = clusters
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = first_epoch
        self.multiple_of = multiple_of
        self.share = share
        self.goes_on = goes_on
        self._plan = functools.lru_cache(maxsize=2)(self._plan_pass)

    def __len__(self):
        """Batches of an epoch."""
        return self.steps

    @property
    def batches_per_pass(self):
        """Batches of the first pass over the recordings."""
        return len(self._plan(0))

    def shapes(self):
        """Sizes of the batches of the first pass.

        Returns:
            Set of `(recordings, padded seconds)`.
        """
        return {(len(examples), seconds) for seconds, examples in self._plan(0)}

    def on_epoch_end(self):
        """Go on to the next part of the stream."""
        self.epoch += self.goes_on

    def __getitem__(self, index):
        """A batch of the present epoch."""
        return self.batch(self.epoch * self.steps + index)

    def batch(self, number):
        """A batch by its number in the stream.

        Args:
            number: int.

        Returns:
            Tuple of inputs and targets; see the class.
        """
        passes, index = self._locate(number)
        seconds, examples = self._plan(passes)[index]
        number, parts = self.share
        size = len(examples) // parts
        made = []
        for row in range(number * size, (number + 1) * size):
            # Of each row alone, so that whoever makes it makes the same.
            generator = np.random.default_rng((self.seed, 1, passes, index, row))
            made.append(self._example(*examples[row], generator))
        return self._padded(made, round(seconds * SAMPLE_RATE))

    def _locate(self, number):
        """Pass over the recordings, and place in it, of a batch."""
        passes = 0
        while number >= len(self._plan(passes)):
            number -= len(self._plan(passes))
            passes += 1
        return passes, number

    def _plan_pass(self, passes):
        """Batches of a pass: list of `(padded seconds, [(recording, speed), ...])`."""
        generator = np.random.default_rng((self.seed, 0, passes))
        open_batches, batches = {}, []
        for position in generator.permutation(len(self.recordings)):
            speed = generator.uniform(*self.augmentation.speeds) if self.augmentation else 1.0
            seconds = self.recordings[position].samples / speed / SAMPLE_RATE
            bucket = BUCKET_SECONDS * np.ceil(min(seconds, self.max_seconds) / BUCKET_SECONDS)
            batch = open_batches.setdefault(bucket, [])
            batch.append((int(position), float(speed)))
            if len(batch) >= max(self._shareable(self.batch_seconds / bucket), self.multiple_of):
                batches.append((float(bucket), open_batches.pop(bucket)))
        # The rest of each bucket, smaller batches, so that no recording is left out.
        for bucket, batch in sorted(open_batches.items()):
            if rest := batch[: self._shareable(len(batch))]:
                batches.append((float(bucket), rest))
        if not batches and not passes:
            raise ValueError(
                f"{len(self.recordings)} recordings make no batch of a multiple of "
                f"{self.multiple_of}; set `devices` to less."
            )
        return [batches[i] for i in generator.permutation(len(batches))]

    def _shareable(self, count):
        """The greatest number of recordings, no more than a count, that devices can share."""
        return int(count) // self.multiple_of * self.multiple_of

    def _example(self, position, speed, generator):
        """Waveform and clusters of a recording, changed in speed, cut and distorted."""
        waveform = read_waveform(self.recordings[position])
        if speed != 1.0:
            waveform = change_speed(waveform, speed)
        clusters = np.zeros(self.front_end.frames(waveform.size), "int32")
        if self.clusters is not None:
            clusters = stretched(self.clusters[position], speed, clusters.size, self.front_end)
        longest = int(self.max_seconds * SAMPLE_RATE)
        if waveform.size > longest:
            hops = (waveform.size - longest) // self.front_end.hop
            first = int(generator.integers(hops + 1))
            waveform = waveform[first * self.front_end.hop :][:longest]
            clusters = clusters[first:][: self.front_end.frames(longest)]
        if self.augmentation is not None:
            waveform = distort(waveform, self.augmentation, generator)
        return waveform, clusters

    def _padded(self, examples, samples):
        """Pad to the bucket's length."""
        samples = max(samples, max(waveform.size for waveform, _ in examples))
        frames = self.front_end.frames(samples)
        waveforms = np.zeros((len(examples), samples), "float32")
        mask = np.zeros((len(examples), samples), "bool")
        targets = np.full((len(examples), frames), -1, "int32")
        for row, (waveform, clusters) in enumerate(examples):
            waveforms[row, : waveform.size] = waveform
            mask[row, : waveform.size] = True
            targets[row, : clusters.size] = clusters
        return {"waveform": waveforms, "padding_mask": mask}, targets


def stretched(clusters, speed, frames, front_end):
    """Clusters of a recording that is played faster.

    Args:
        clusters: `[frames]` int, of the recording as it is.
        speed: float.
        frames: int, of the faster recording.
        front_end: `FrontEnd`.

    Returns:
        `[frames]` int32: for each frame the cluster of the frame whose middle is nearest.
    """
    half = front_end.width / 2
    middles = (np.arange(frames) * front_end.hop + half) * speed
    nearest = np.rint((middles - half) / front_end.hop).astype("int64")
    return clusters[np.clip(nearest, 0, len(clusters) - 1)].astype("int32")


def for_fit(batches):
    """A stream as `fit` takes it.

    Args:
        batches: `SpeechBatches`.

    Returns:
        Itself; on TensorFlow a `tf.data.Dataset`, since Keras would take the first batches'
        lengths for those of all.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    def generate():
        first = batches.epoch * batches.steps
        number = first
        while True:
            yield batches.batch(number)
            number += 1

    signature = (
        {
            "waveform": tf.TensorSpec((None, None), tf.float32),
            "padding_mask": tf.TensorSpec((None, None), tf.bool),
        },
        tf.TensorSpec((None, None), tf.int32),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(4)
