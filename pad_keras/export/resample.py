"""Resampling to 16 kHz in the graph: a polyphase windowed-sinc filter for each usual rate."""

import functools
import math

import numpy as np
import tensorflow as tf

from pad_keras.data import SAMPLE_RATE

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# Our choice: all below 0.9 of the lower rate's Nyquist frequency passes, all above 1.0 is down by
# 80 dB. Kaiser's formulas give beta and the zeros of the sinc on each side.
_CUTOFF, _BETA, _ZEROS = 0.95, 7.857, 50


def resample(waveform, rate):
    """Bring a waveform from one of the usual rates to 16 kHz, by TensorFlow's own operations.

    Samples at 16 kHz pass through as they are. Nothing is delayed: the first sample stays the
    first; the signal is zero before it and behind its end.

    Args:
        waveform: `[samples]` float32 tensor.
        rate: scalar integer tensor in Hz, one of `RATES`.

    Returns:
        `[samples * 16000 / rate, rounded]` float32 tensor.

    Reference:
        Kaiser's window: Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.6.

    Example:

    ```python
    resample(tf.zeros(44_100), 44_100)  # [16000]
    ```
    """
    branches = [functools.partial(_resample_from, known, waveform) for known in RATES]
    return tf.switch_case(tf.argmax(tf.equal(rate, RATES), output_type=tf.int32), branches)


def polyphase_filters(rate):
    """Filters of which each computes every `up`-th sample at 16 kHz.

    Output `k * up + phase` lies at input `(k + phase / up) * down`, where `up / down` is the
    reduced ratio of the rates: filter `phase` at a step of `down` input samples.

    Args:
        rate: int in Hz.

    Returns:
        `[taps, up]` float32 array. Tap `(taps - down) / 2` of the first filter lies on its output.
    """
    up, down = _ratio(rate)
    # Below 1 when the rate falls: the sinc is stretched to cut what the lower rate cannot hold.
    bandwidth = min(1.0, up / down)
    half_width = _ZEROS / bandwidth
    before = math.ceil(half_width)
    taps = np.arange(2 * before + down)[:, None] - before
    times = taps - np.arange(up) * down / up
    inside = np.clip(1 - (times / half_width) ** 2, 0, None)
    window = np.where(inside > 0, np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA), 0)
    cutoff = _CUTOFF * bandwidth
    return (cutoff * np.sinc(cutoff * times) * window).astype("float32")


def _resample_from(rate, waveform):
    """Resample from a rate that is known when the graph is made."""
    if rate == SAMPLE_RATE:
        return tf.identity(waveform)
    up, down = _ratio(rate)
    filters = polyphase_filters(rate)
    before = (len(filters) - down) // 2
    samples = tf.size(waveform)
    wanted = tf.cast((tf.cast(samples, tf.int64) * up + down // 2) // down, tf.int32)
    # The convolution computes whole groups of `up` samples.
    groups = -(-wanted // up)
    behind = groups * down + len(filters) - down - before - samples
    padded = tf.pad(waveform, [[before, behind]])
    phases = tf.nn.conv1d(padded[None, :, None], filters[:, None, :], stride=down, padding="VALID")
    return tf.reshape(phases, [-1])[:wanted]


def _ratio(rate):
    """Samples at 16 kHz for how many at a rate, reduced."""
    common = math.gcd(SAMPLE_RATE, rate)
    return SAMPLE_RATE // common, rate // common
