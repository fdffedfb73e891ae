"""What `pipeline` reads for each utterance: its waveform, or the encoder's states of it.

A source says how an utterance is read (`read`), how long it is (`length`), why it could not be
read (`diagnose`) and what a batch of such readings looks like to a model (`speech`). Readings that
are small and of one length it may hold in memory (`held`).
"""

import numpy as np
import tensorflow as tf

from pad_keras.data.audio import SAMPLE_RATE, decode_audio, diagnose

# A resampled file may come out a sample longer than its header promised.
_SPARE_SAMPLES = 8
# Pooled states of Fluent Speech Commands' training set by a base encoder take 0.9 GB.
_MOST_BYTES_HELD = 2**30


class AudioSource:
    """Waveforms, decoded from the audio files.

    Args:
        utterances: list of `Utterance`.
        augment: function of a waveform `[samples]` that returns one, in TensorFlow operations;
            `None` leaves waveforms as they are.

    Attributes:
        shape: of one reading; `None` where it varies.
        dtype: of one reading.
        held: `None`, waveforms are read anew in each epoch.
    """

    name = "audio"
    held = None
    shape = (None,)
    dtype = tf.float32

    def __init__(self, utterances, augment=None):
        self._files = [utterance.audio for utterance in utterances]
        self._paths = tf.constant(self._files)
        self._augment = augment

    def read(self, position):
        """Waveform of an utterance.

        Args:
            position: scalar int64 tensor, of the utterance in the list.

        Returns:
            `[samples]` float32.
        """
        decoded = decode_audio(tf.io.read_file(self._paths[position]))
        return decoded if self._augment is None else self._augment(decoded)

    def length(self, waveform):
        """Length of a reading: its samples, scalar int32."""
        return tf.size(waveform)

    def diagnose(self, position):
        """Name of an utterance's file and why it cannot be read, two str."""
        path = self._files[position]
        return path, diagnose(path) or "the audio could not be read or augmented"

    def limits(self, boundaries):
        """Lengths up to which batches are padded.

        Args:
            boundaries: sorted array of seconds, as `BatchPlan.boundaries` gives them.

        Returns:
            Array of samples, int32.
        """
        return samples_within(boundaries)

    def speech(self, waveforms, mask):
        """What a model takes of a batch.

        Args:
            waveforms: `[batch, samples]` float32, padded with zeros.
            mask: `[batch, samples]` bool, true at real samples.

        Returns:
            Dict of `waveform` and `padding_mask`.
        """
        return {"waveform": waveforms, "padding_mask": mask}


class StateSource:
    """Hidden states, read from a cache.

    Args:
        utterances: list of `Utterance`.
        cache: `HiddenStateCache` that holds them.

    Attributes:
        shape: of one reading, `(layers + 1, None, dim)`.
        dtype: of one reading.
        held: `[utterances, layers + 1, 1, dim]` tensor, pooled states, read once: to read a file
            for each utterance would take longer than a small head's step. `None` of states of
            frames, and of more than 1 GiB.

    Raises:
        StaleCacheError: if the cache lacks an utterance, or one is given twice.
    """

    name = "hidden states"

    def __init__(self, utterances, cache):
        cache.check(utterances)
        self._cache = cache
        self._ids = [utterance.id for utterance in utterances]
        self._files = [str(cache.path(utterance)) for utterance in utterances]
        self._paths = tf.constant(self._files)
        self.shape = cache.layout.shape
        self.dtype = tf.as_dtype(cache.layout.dtype)
        self.held = None
        if cache.layout.pooled and cache.layout.corpus_bytes(utterances) <= _MOST_BYTES_HELD:
            files = tf.data.Dataset.from_tensor_slices(self._paths)
            states = files.map(cache.read, num_parallel_calls=tf.data.AUTOTUNE)
            self.held = states.batch(len(utterances)).get_single_element()

    def read(self, position):
        """States of an utterance, `[layers + 1, frames, dim]` in the dtype of the cache.

        Args:
            position: scalar int64 tensor, of the utterance in the list.
        """
        return self._cache.read(self._paths[position])

    def length(self, states):
        """Length of a reading: its frames, scalar int32."""
        return tf.shape(states)[1]

    def diagnose(self, position):
        """Name of an utterance's file and why it cannot be read, two str."""
        path = self._files[position]
        reason = self._cache.why_unreadable(path) or "the file could not be read"
        return path, (
            f"{reason}; it should hold the hidden states of the utterance "
            f"{self._ids[position]!r}, which HiddenStateCache.build makes"
        )

    def limits(self, boundaries):
        """Lengths up to which batches are padded: the frames of `AudioSource`'s, int32."""
        return self._cache.layout.frames(samples_within(boundaries))

    def speech(self, states, mask):
        """What a model takes of a batch.

        Args:
            states: `[batch, layers + 1, frames, dim]`, padded with zeros.
            mask: `[batch, frames]` bool, true at real frames.

        Returns:
            Dict of `hidden_states` in float32 and `mask`.
        """
        return {"hidden_states": tf.cast(states, tf.float32), "mask": mask}


def samples_within(seconds):
    """Samples at 16 kHz that a duration holds, with a few to spare for resampled audio.

    Args:
        seconds: array of floats.

    Returns:
        int32 array.
    """
    return np.ceil(np.asarray(seconds) * SAMPLE_RATE).astype("int32") + _SPARE_SAMPLES
