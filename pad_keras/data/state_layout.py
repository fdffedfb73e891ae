"""What is kept of an utterance's hidden states, and how large that is."""

import dataclasses

import numpy as np

from pad_keras.data.audio import SAMPLE_RATE
from pad_keras.models.wav2vec2.convolutions import frame_counts

DTYPES = ("float16", "float32")
AUDIO, TEXT = "audio", "text"


@dataclasses.dataclass(frozen=True)
class StateLayout:
    """Shape and dtype of the hidden states that are kept of an utterance.

    Args:
        layers: int, transformer layers of the encoder; there is one state more.
        dim: int, width of a state.
        dtype: str, of the values on disk.
        pooled: bool, whether only the mean over frames is kept.
        kernels: tuple of int, kernel sizes of the encoder's convolutions.
        strides: tuple of int, their strides.
        source: `"audio"` or `"text"`, what of an utterance the encoder reads.
    """

    layers: int
    dim: int
    dtype: str
    pooled: bool
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    source: str = AUDIO

    @classmethod
    def of(cls, backbone, pooled, dtype):
        """Layout of an encoder's states.

        Args:
            backbone: `Wav2Vec2Backbone`, or what stands in for one: see
                `HiddenStateCache.build`.
            pooled: bool.
            dtype: `"float16"` or `"float32"`; pooled states are float32 whatever it is.

        Returns:
            `StateLayout`.

        Raises:
            ValueError: for another `dtype`.
        """
        if dtype not in DTYPES:
            raise ValueError(f"`dtype` must be one of {DTYPES}, got {dtype!r}.")
        _, states, _, dim = backbone.output["hidden_states"].shape
        return cls(
            layers=states - 1,
            dim=dim,
            dtype="float32" if pooled else dtype,
            pooled=pooled,
            kernels=tuple(backbone.conv_kernels),
            strides=tuple(backbone.conv_strides),
            source=getattr(backbone, "source", AUDIO),
        )

    @property
    def shape(self):
        """Shape of an utterance's states, `(layers + 1, None, dim)`."""
        return (self.layers + 1, None, self.dim)

    def frames(self, samples):
        """Number of frames that are kept of audio.

        Args:
            samples: integer array, lengths at 16 kHz.

        Returns:
            Array like `samples`, at least 1.
        """
        if self.pooled:
            return np.ones_like(samples)
        return np.maximum(frame_counts(samples, self.kernels, self.strides), 1)

    def array_bytes(self, frames):
        """Size of the states of some frames.

        Args:
            frames: int or int64 array.

        Returns:
            The same kind as `frames`, in bytes.
        """
        return frames * (self.layers + 1) * self.dim * np.dtype(self.dtype).itemsize

    def corpus_bytes(self, utterances):
        """Size of the states of a corpus, as its durations promise it.

        Args:
            utterances: list of `Utterance`.

        Returns:
            int, bytes.
        """
        seconds = np.array([utterance.seconds for utterance in utterances])
        samples = np.round(seconds * SAMPLE_RATE).astype("int64")
        return int(np.sum(self.array_bytes(self.frames(samples))))
