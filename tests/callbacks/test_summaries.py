import collections

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tensorboard.backend.event_processing import event_file_loader

from pad_keras.callbacks import AlignmentSummary, TrainingSummary
from pad_keras.callbacks.alignment_summary import draw_alignment
from pad_keras.callbacks.alignments import alignments
from pad_keras.losses import SpanAlignment
from tests.callbacks.runs import STEPS, new_distiller, train
from tests.models.test_alignment_distiller import batch
from tests.small import utterances


def logged(folder):
    """Steps and values of each tag that TensorBoard would show."""
    found = collections.defaultdict(dict)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found[value.tag][event.step] = tf.make_ndarray(value.tensor)
    return found


def test_scalars_of_a_run(tmp_path):
    distiller = new_distiller()
    summary = TrainingSummary(tmp_path, utterances_per_step=4, seconds_per_step=2.0, every=2)
    history = train(distiller, 2, [summary]).history
    found = logged(tmp_path)
    names = ("loss", "global_alignment", "span_alignment", "learning_rate", "gradient_norm")
    for name in (*names, "utterances_per_second", "audio_seconds_per_second"):
        values = found[f"train/{name}"]
        assert sorted(values) == [2, 3, 4, 6], name
        assert np.isfinite(list(values.values())).all()
    assert found["train/gradient_norm"][6] > 0
    rate = float(ops.convert_to_numpy(distiller.optimizer.learning_rate))
    assert found["train/learning_rate"][6] == pytest.approx(rate)
    ratio = found["train/audio_seconds_per_second"][4] / found["train/utterances_per_second"][4]
    assert ratio == pytest.approx(0.5)
    assert found["epoch/loss"] == pytest.approx(dict(enumerate(history["loss"], 1)))


def test_steps_go_on_after_a_resume(tmp_path):
    train(new_distiller(), 3, [TrainingSummary(tmp_path, 4, 2.0, every=1)], initial_epoch=2)
    assert sorted(logged(tmp_path)["train/loss"]) == [2 * STEPS + 1, 2 * STEPS + 2, 2 * STEPS + 3]


def test_several_steps_between_two_calls_are_counted(tmp_path):
    summary = TrainingSummary(tmp_path, utterances_per_step=4, seconds_per_step=2.0, every=4)
    summary.set_params({"steps": 10})
    summary.set_model(new_distiller())
    summary.on_train_begin()
    for epoch in range(2):
        summary.on_epoch_begin(epoch)
        for last in (1, 3, 5, 7, 9):
            summary.on_train_batch_end(last, {"loss": float(last)})
        summary.on_epoch_end(epoch, {"loss": 0.0})
    summary.on_train_end()
    losses = {step: float(value) for step, value in logged(tmp_path)["train/loss"].items()}
    assert losses == {4: 3, 8: 7, 10: 9, 12: 1, 16: 5, 20: 9}


def test_pictures_and_audio(tmp_path):
    distiller = new_distiller(losses=SpanAlignment())
    inputs = batch(distiller.teacher)
    summary = AlignmentSummary(
        tmp_path, inputs, utterances(4), distiller.teacher.tokenizer, max_utterances=2, every=2
    )
    train(distiller, 3, [summary])
    found = logged(tmp_path)
    assert {tag for tag in found if "audio" not in tag} >= {"alignment/u0", "alignment/u1"}
    assert "alignment/u2" not in found
    pictures = {s: v for s, v in found["alignment/u0"].items() if v[0].isdigit()}
    # Untrained, after the second epoch, and after the last.
    assert sorted(pictures) == [0, 2, 3]
    shown = tf.io.decode_png(pictures[3][2]).numpy()
    assert shown.shape == (700, 1200, 4)
    assert shown.std() > 10


def test_a_resumed_run_draws_no_untrained_state(tmp_path):
    distiller = new_distiller(losses=SpanAlignment())
    train(distiller, 1, [])
    arguments = batch(distiller.teacher), utterances(4), distiller.teacher.tokenizer
    train(distiller, 2, [AlignmentSummary(tmp_path, *arguments)], initial_epoch=1)
    pictures = [s for s, v in logged(tmp_path)["alignment/u0"].items() if v[0].isdigit()]
    assert pictures == [1, 2]


def test_masks_of_numbers_show_the_same_waveforms(tmp_path):
    distiller = new_distiller(losses=SpanAlignment())
    inputs = batch(distiller.teacher)
    numbers = {name: np.asarray(x) for name, x in inputs["speech"].items()}
    numbers["padding_mask"] = numbers["padding_mask"].astype("int32")
    arguments = utterances(4), distiller.teacher.tokenizer
    summary = AlignmentSummary(tmp_path, inputs, *arguments)
    other = AlignmentSummary(tmp_path, {**inputs, "speech": numbers}, *arguments)
    for one, expected in zip(other._waveforms(), summary._waveforms(), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_a_batch_without_waveforms_is_refused(tmp_path):
    states = {"hidden_states": np.zeros((1, 1, 2, 3)), "mask": np.ones((1, 2))}
    with pytest.raises(ValueError, match=r"'speech' has \['hidden_states', 'mask'\]; .*`states`"):
        AlignmentSummary(tmp_path, {"speech": states}, utterances(1), None)


@pytest.mark.parametrize("samples", [400, 6000])
def test_a_picture_of_any_length(samples):
    distiller = new_distiller(losses=SpanAlignment(), dropout=0.0)
    inputs = batch(distiller.teacher)
    inputs["speech"] = {
        "waveform": inputs["speech"]["waveform"][:, :samples],
        "padding_mask": inputs["speech"]["padding_mask"][:, :samples],
    }
    one = alignments(distiller, inputs)[0]
    picture = draw_alignment(inputs["speech"]["waveform"][0], one, ["a"] * len(one.best))
    assert picture.shape == (700, 1200, 4)
