import keras
import numpy as np
import pytest
from keras import ops

from experiments.understanding import log_mel
from experiments.understanding.log_mel import LogMelEncoder, deltas, mel_filters
from pad_keras.models import UtteranceClassifier
from tests.backend import numpy_of
from tests.experiments.understanding.small_corpora import speech


def mel(hz):
    return 1127 * np.log(1 + hz / 700)


def slow_log_mel(waveform):
    """80 log-mel filters, frame by frame and filter by filter, in float64."""
    waveform = np.asarray(waveform, "float64")
    waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    hz = np.arange(257) * 16_000 / 512
    corners = np.linspace(mel(20), mel(8000), 82)
    frames = []
    for start in range(0, len(waveform) - 399, 320):
        spectrum = np.fft.fft(waveform[start : start + 400] * window, 512)[:257]
        power = np.abs(spectrum) ** 2 / np.sum(window**2)
        row = []
        for low, centre, high in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
            weights = np.array(
                [
                    max(0, min((mel(f) - low) / (centre - low), (high - mel(f)) / (high - centre)))
                    for f in hz
                ]
            )
            row.append(np.log(max(1e-6, np.sum(weights * power) / np.sum(weights))))
        frames.append(row)
    return np.array(frames)


def slow_deltas(x):
    found = np.zeros_like(x)
    for t in range(len(x)):
        for step in (1, 2):
            after, before = min(t + step, len(x) - 1), max(t - step, 0)
            found[t] += step * (x[after] - x[before]) / 10
    return found


def test_log_mel_is_that_of_a_slow_loop():
    inputs = speech([4000, 6100, 3000])
    outputs = numpy_of(LogMelEncoder()(inputs))
    for row, length in enumerate([4000, 6100, 3000]):
        static = slow_log_mel(inputs["waveform"][row, :length])
        slopes = slow_deltas(static)
        expected = np.concatenate(
            [(static + 7) / 5, slopes / 1.1, slow_deltas(slopes) / 0.5], axis=-1
        )
        assert np.ptp(static) > 5
        assert (static == np.log(1e-6)).mean() < 0.5
        found = outputs["sequence_output"][row]
        np.testing.assert_allclose(found[: len(expected)], expected, atol=2e-3)
        np.testing.assert_array_equal(found[len(expected) :], 0)
        np.testing.assert_array_equal(outputs["mask"][row], np.arange(len(found)) < len(expected))
        assert outputs["significance"][row, : len(expected)] == pytest.approx(1 / len(expected))


def test_log_mel_gives_an_utterance_the_same_alone_and_in_a_batch():
    encoder = LogMelEncoder()
    lengths = [4000, 6100, 900]
    batch = speech(lengths)
    together = encoder.predict_on_batch(batch)
    assert together["hidden_states"].shape == (3, 1, 18, 240)
    np.testing.assert_allclose(together["significance"].sum(1), 1, rtol=1e-5)
    for row, length in enumerate(lengths):
        alone = numpy_of(encoder({k: v[row : row + 1, :length] for k, v in batch.items()}))
        assert alone["mask"].all()
        count = alone["mask"].shape[1]
        for name, axis in (("sequence_output", 0), ("hidden_states", 1), ("significance", 0)):
            found = np.take(together[name][row], range(count), axis=axis)
            # JAX sums in another order for another width.
            np.testing.assert_allclose(found, alone[name][0], atol=1e-4)


def test_the_floor_is_not_blind_and_recording_level_is_no_cue():
    """The mean over frames, which is all that a linear head sees, tells utterances apart."""
    encoder = LogMelEncoder()
    inputs = speech([4000, 4000])
    first, second = numpy_of(encoder(inputs))["sequence_output"][:, :, :80].mean(1)
    assert np.abs(first - second).max() > 0.1
    louder = {**inputs, "waveform": 3 * inputs["waveform"]}
    again = numpy_of(encoder(louder))["sequence_output"][0, :, :80].mean(0)
    np.testing.assert_allclose(again, first, atol=1e-3)


def test_log_mel_stays_float32_under_any_policy():
    expected = numpy_of(LogMelEncoder()(speech([2000])))["hidden_states"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = LogMelEncoder()(speech([2000]))["hidden_states"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)


def test_log_mel_is_rebuilt_from_its_config_with_its_head():
    encoder = LogMelEncoder(num_mels=20, hop=160, fft_length=1024, lowest_hz=60.0)
    head = UtteranceClassifier(encoder, {"action": ("on", "off")}, projection_dim=4)
    again = UtteranceClassifier.from_config(head.get_config())
    assert again.backbone.get_config() == encoder.get_config()
    inputs = speech([2000])
    for name, values in numpy_of(encoder(inputs)).items():
        np.testing.assert_array_equal(values, numpy_of(again.backbone(inputs))[name])


def test_arguments_of_log_mel_are_checked():
    with pytest.raises(ValueError, match="`num_mels` is 300, too many for `fft_length` 512"):
        mel_filters(300, 512, 20.0)
    with pytest.raises(ValueError, match="has 399 samples; one frame needs at least 400"):
        LogMelEncoder()(speech([399]))


def test_a_delta_is_the_slope():
    found = ops.convert_to_numpy(
        deltas(np.arange(7.0, dtype="float32")[None, :, None], np.array([7]))
    )
    assert found[0, 2:5, 0] == pytest.approx(1)
    assert log_mel.DELTA_REACH == 2
