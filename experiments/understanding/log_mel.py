"""Log-mel filterbanks as a frozen encoder: the floor for speech encoders."""

import keras
import numpy as np
from keras import ops

from pad_keras.data.audio import SAMPLE_RATE
from pad_keras.models.wav2vec2.convolutions import frame_counts, sequence_mask
from pad_keras.models.wav2vec2.feature_encoder import normalize_waveform

# Power 60 dB below the utterance's mean: digital silence, whose logarithm has no end, is put there.
POWER_FLOOR = 1e-6
# Mean and standard deviation of log-mel, deltas and deltas of deltas of speech (measured on the
# embedded corpora and rounded).
MEANS = (-7.0, 0.0, 0.0)
DEVIATIONS = (5.0, 1.1, 0.5)
# Frames on each side that a delta is fitted to.
DELTA_REACH = 2


@keras.saving.register_keras_serializable(package="experiments")
class LogMelEncoder(keras.Model):
    """Log-mel filterbanks with deltas, in the guise of a speech encoder. It has no weights.

    80 filters, deltas and deltas of deltas, as SUPERB's FBANK, from windows of 25 ms every 20 ms,
    which are wav2vec 2.0's frames. Utterances are brought to one loudness.

    Our choice: SUPERB's reference code gives each channel zero mean and unit variance over the
    utterance. The heads of intents and emotions are linear up to their mean over frames, which
    would then be zero for each utterance: they could only answer one and the same. So the features
    are scaled by constants here (`MEANS`, `DEVIATIONS`), and the mean over frames is the
    utterance's average spectrum.

    Args:
        num_mels: int, filters.
        window: int, samples of a window.
        hop: int, samples from one frame to the next.
        fft_length: int, samples that a window is padded to with zeros.
        lowest_hz: float, where the lowest filter begins; the highest ends at half the rate.
        **kwargs: of `keras.Model`, such as `name`.

    Call arguments:
        inputs: dict of `waveform` `[batch, samples]` float32 at 16 kHz and `padding_mask`
            `[batch, samples]` (true or 1 at real samples, which come first).

    Returns:
        Dict, as of `Wav2Vec2Backbone`: `sequence_output` `[batch, frames, 3 * num_mels]`,
        `hidden_states` `[batch, 1, frames, 3 * num_mels]`, `significance` `[batch, frames]` (the
        same at each real frame) and `mask` `[batch, frames]` bool. All are float32, whatever the
        dtype policy.

    Reference:
        SUPERB (arXiv 2105.01051), FBANK; Kaldi's mel scale.

    Example:

    ```python
    classifier = UtteranceClassifier(LogMelEncoder(), labels)
    ```
    """

    # As of `Wav2Vec2Backbone`.
    num_layers = 0
    batch_independent = True

    def __init__(self, num_mels=80, window=400, hop=320, fft_length=512, lowest_hz=20.0, **kwargs):
        waveform = keras.Input((None,), dtype="float32", name="waveform")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        log_mel = LogMel(num_mels, window, hop, fft_length, lowest_hz, name="log_mel")
        features, mask = log_mel(waveform, padding_mask)
        real = ops.cast(mask, "float32")
        super().__init__(
            inputs={"waveform": waveform, "padding_mask": padding_mask},
            outputs={
                "sequence_output": features,
                "hidden_states": ops.expand_dims(features, axis=1),
                "significance": real / ops.maximum(ops.sum(real, axis=1, keepdims=True), 1.0),
                "mask": mask,
            },
            **kwargs,
        )
        self.log_mel = log_mel
        self.hidden_dim = log_mel.dim

    @property
    def conv_kernels(self):
        """Kernel sizes of convolutions that would give as many frames."""
        return (self.log_mel.window,)

    @property
    def conv_strides(self):
        """Their strides."""
        return (self.log_mel.hop,)

    def get_config(self):
        """Arguments that rebuild this encoder."""
        return {**self.log_mel.arguments(), "name": self.name}

    @classmethod
    def from_config(cls, config):
        """Rebuild an encoder from `get_config`."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="experiments")
class LogMel(keras.layers.Layer):
    """Log-mel filterbanks with deltas, and the frames' mask; see `LogMelEncoder`.

    What lies in padded samples has no influence, and features of padding are 0.

    Args:
        num_mels: int, filters.
        window: int, samples of a window.
        hop: int, samples from one frame to the next.
        fft_length: int, samples that a window is padded to with zeros.
        lowest_hz: float, where the lowest filter begins.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        waveform: `[batch, samples]` float32.
        padding_mask: `[batch, samples]`, true (or 1) at real samples, which come first.

    Returns:
        Features `[batch, frames, 3 * num_mels]` float32 and their mask `[batch, frames]` bool.

    Raises:
        ValueError: if the waveform is shorter than a window.

    Example:

    ```python
    features, mask = LogMel()(keras.ops.ones((1, 16000)), keras.ops.ones((1, 16000), "bool"))
    ```
    """

    def __init__(self, num_mels=80, window=400, hop=320, fft_length=512, lowest_hz=20.0, **kwargs):
        # Powers span nine decades, and half precision would not do.
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})
        self.num_mels = num_mels
        self.window = window
        self.hop = hop
        self.fft_length = fft_length
        self.lowest_hz = lowest_hz
        # Each filter gives a mean of power densities: white noise has the same in all channels.
        filters = mel_filters(num_mels, fft_length, lowest_hz)
        self._filters = (filters / filters.sum(axis=0)).astype("float32")
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        self._taper = (taper / np.sqrt(np.sum(taper**2))).astype("float32")

    @property
    def dim(self):
        """Width of the features."""
        return 3 * self.num_mels

    def call(self, waveform, padding_mask):
        """Compute features and mask; see the class for the arguments."""
        self._check_length(waveform.shape[1])
        valid = ops.cast(padding_mask, "bool")
        # `where`, not a product: NaN times zero is NaN.
        waveform = normalize_waveform(ops.where(valid, waveform, 0.0), valid)
        samples = ops.sum(ops.cast(valid, "int32"), axis=1)
        counts = ops.maximum(frame_counts(samples, (self.window,), (self.hop,)), 0)
        x = self._log_powers(waveform)
        slopes = deltas(x, counts)
        parts = zip((x, slopes, deltas(slopes, counts)), MEANS, DEVIATIONS, strict=True)
        scaled = [(part - mean) / deviation for part, mean, deviation in parts]
        mask = sequence_mask(counts, ops.shape(x)[1])
        features = ops.concatenate(scaled, axis=-1)
        return ops.where(mask[:, :, None], features, 0.0), mask

    def _log_powers(self, waveform):
        """`[batch, frames, num_mels]`, the logarithm of each filter's power."""
        windows = ops.extract_sequences(waveform, self.window, self.hop)
        real, imaginary = ops.rfft(windows * self._taper, fft_length=self.fft_length)
        powers = ops.matmul(ops.square(real) + ops.square(imaginary), self._filters)
        return ops.log(ops.maximum(powers, POWER_FLOOR))

    def _check_length(self, samples):
        """Refuse what would give no frame; an unknown length gives none."""
        if samples is not None and samples < self.window:
            raise ValueError(
                f"`waveform` has {samples} samples; one frame needs at least {self.window}. Pad "
                "the waveform (and its `padding_mask` with zeros) or drop the utterance."
            )

    def compute_output_spec(self, waveform, padding_mask):
        """Shapes and dtypes of features and mask."""
        batch, samples = waveform.shape
        frames = None if samples is None else frame_counts(samples, (self.window,), (self.hop,))
        return (
            keras.KerasTensor((batch, frames, self.dim), dtype="float32"),
            keras.KerasTensor((batch, frames), dtype="bool"),
        )

    def arguments(self):
        """What the features depend on: the constructor's own arguments, a dict."""
        return {
            "num_mels": self.num_mels,
            "window": self.window,
            "hop": self.hop,
            "fft_length": self.fft_length,
            "lowest_hz": self.lowest_hz,
        }

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {**super().get_config(), **self.arguments()}


def mel_filters(num_mels, fft_length, lowest_hz):
    """Triangular filters, evenly spaced and overlapping by half on the mel scale.

    Args:
        num_mels: int.
        fft_length: int, samples of the Fourier transform.
        lowest_hz: float, where the lowest filter begins; the highest ends at half the rate.

    Returns:
        `[fft_length // 2 + 1, num_mels]` float64 array, at most 1.

    Raises:
        ValueError: if a filter is so narrow that it holds no frequency of the transform.

    Reference:
        Kaldi: `mel = 1127 ln(1 + f / 700)`, triangles on that scale.

    Example:

    ```python
    mel_filters(num_mels=80, fft_length=512, lowest_hz=20.0).shape  # (257, 80)
    ```
    """
    corners = np.linspace(_mel(lowest_hz), _mel(SAMPLE_RATE / 2), num_mels + 2)
    mels = _mel(np.arange(fft_length // 2 + 1) * SAMPLE_RATE / fft_length)[:, None]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (mels - low) / (centre - low), (high - mels) / (high - centre)
    filters = np.maximum(np.minimum(rising, falling), 0.0)
    if not filters.any(axis=0).all():
        raise ValueError(
            f"`num_mels` is {num_mels}, too many for `fft_length` {fft_length}: the filter "
            f"{int(np.argmin(filters.any(axis=0)))} holds no frequency. Take fewer or a longer one."
        )
    return filters


def deltas(x, counts):
    """Slope of each channel over time: the regression over five frames.

    Beyond its ends an utterance is continued with its first and its last real frame.

    Args:
        x: `[batch, frames, channels]`.
        counts: `[batch]` int32, real frames.

    Returns:
        `[batch, frames, channels]`; without meaning where frames are not real.

    Reference:
        `sum_k k (x[t + k] - x[t - k]) / (2 sum_k k^2)`, as in HTK and in SUPERB's FBANK.

    Example:

    ```python
    deltas(keras.ops.reshape(keras.ops.arange(7.0), (1, 7, 1)), keras.ops.array([7]))[0, 3]  # 1
    ```
    """
    length = ops.shape(x)[1]
    is_last = ops.equal(ops.arange(length, dtype="int32")[None], counts[:, None] - 1)
    last = ops.sum(ops.where(is_last[:, :, None], x, 0.0), axis=1, keepdims=True)
    continued = ops.where(sequence_mask(counts, length)[:, :, None], x, last)
    continued = ops.concatenate(
        [x[:, :1]] * DELTA_REACH + [continued] + [last] * DELTA_REACH, axis=1
    )

    def moved(by):
        return continued[:, DELTA_REACH + by : DELTA_REACH + by + length]

    reach = range(1, DELTA_REACH + 1)
    total = sum(step * (moved(step) - moved(-step)) for step in reach)
    return total / (2 * sum(step**2 for step in reach))


def _mel(hz):
    return 1127.0 * np.log(1.0 + np.asarray(hz) / 700.0)
