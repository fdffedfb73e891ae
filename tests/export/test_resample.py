import numpy as np
import pytest
import tensorflow as tf

from pad_keras import soundfile_decoder
from pad_keras.data import SAMPLE_RATE
from pad_keras.export.resample import RATES, polyphase_filters, resample

OTHER_RATES = [rate for rate in RATES if rate != SAMPLE_RATE]


def resampled(waveform, rate):
    return resample(tf.constant(waveform, tf.float32), tf.constant(rate)).numpy()


def decibels(error, signal):
    return 10 * np.log10(np.mean(np.square(error)) / np.mean(np.square(signal)))


@pytest.mark.parametrize("rate", OTHER_RATES)
def test_is_soxr_in_the_pass_band(rate):
    generator = np.random.default_rng(rate)
    samples = rate // 2
    spectrum = np.fft.rfft(generator.normal(size=samples))
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > 0.9 * min(rate, SAMPLE_RATE) / 2] = 0
    waveform = (np.fft.irfft(spectrum, samples) * np.hanning(samples)).astype("float32")
    expected = soundfile_decoder.resample(waveform, rate, SAMPLE_RATE)
    found = resampled(waveform, rate)
    assert len(found) == len(expected)
    assert decibels(found - expected, expected) < -65


@pytest.mark.parametrize("rate", OTHER_RATES)
def test_a_tone_keeps_its_level_and_is_not_delayed(rate):
    def tone(at):
        return np.sin(2 * np.pi * 440 * np.arange(at // 4) / at)

    inside = slice(400, -400)
    error = resampled(tone(rate), rate)[inside] - tone(SAMPLE_RATE)[inside]
    assert decibels(error, tone(SAMPLE_RATE)) < -80


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > SAMPLE_RATE])
def test_what_16_khz_cannot_hold_is_cut(rate):
    waveform = np.sin(2 * np.pi * 8_500 * np.arange(rate // 4) / rate)
    assert decibels(resampled(waveform, rate)[400:-400], waveform) < -75


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [1, 2, 441, 1000])
def test_lengths_are_those_of_soxr(rate, samples):
    waveform = np.ones(samples, "float32")
    expected = soundfile_decoder.resample(waveform, rate, SAMPLE_RATE)
    assert abs(len(resampled(waveform, rate)) - len(expected)) <= 1


def test_16_khz_passes_through():
    waveform = np.random.default_rng(1).normal(size=1000).astype("float32")
    np.testing.assert_array_equal(resampled(waveform, SAMPLE_RATE), waveform)


@pytest.mark.parametrize("rate", OTHER_RATES)
def test_filters_keep_a_constant(rate):
    filters = polyphase_filters(rate)
    np.testing.assert_allclose(filters.sum(axis=0), 1.0, atol=1e-4)
