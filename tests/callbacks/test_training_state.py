import shutil
import types

import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.callbacks import BestStudent, TrainingState
from pad_keras.models import UtteranceClassifier
from tests.callbacks.runs import STEPS, batches, new_distiller, train
from tests.small import speech_student


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends a run in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at and batch == STEPS - 2:
            raise Killed


def run(folder, epochs=4, kill_at=None, seed=6, fingerprint=None):
    distiller = new_distiller(seed, student_dim=24)
    best = BestStudent(folder / "student", monitor="loss")
    state = TrainingState(folder / "state", fingerprint, callbacks=[best])
    start = state.restore(distiller)
    train(distiller, epochs, [Kill(kill_at), best, state], initial_epoch=start)
    return distiller, best, state


def weights_of(model):
    return [ops.convert_to_numpy(weight) for weight in model.weights]


def test_a_killed_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, whole_best, whole_state = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill_at=2)
    # Another seed: whatever the checkpoint did not hold would show.
    resumed, best, state = run(tmp_path / "killed", seed=7)
    assert [logs["epoch"] for logs in state.history] == [0, 1, 2, 3]
    for logs, expected in zip(state.history, whole_state.history, strict=True):
        assert logs == pytest.approx(expected, rel=1e-5)
    for found, expected in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert best.best == pytest.approx(whole_best.best, rel=1e-5)
    assert best.epoch == whole_best.epoch
    iterations = [int(ops.convert_to_numpy(m.optimizer.iterations)) for m in (resumed, whole)]
    assert iterations == [4 * STEPS, 4 * STEPS]


def test_a_run_without_a_checkpoint_begins_alike_whatever_ran_before(tmp_path):
    losses = []
    for name in ("cold", "warm"):
        distiller = new_distiller()
        state = TrainingState(tmp_path / name)
        assert state.restore(distiller) == 0
        if name == "warm":
            distiller.evaluate(batches(distiller), steps=1, verbose=0)
        train(distiller, 1, [state])
        losses.append(state.history[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_checkpoint_holds_no_teacher(tmp_path):
    distiller, _, state = run(tmp_path, epochs=1)
    with np.load(state.path, allow_pickle=False) as file:
        stored = sum(file[name].size for name in file.files if name.startswith("model"))
    trained = distiller.student.count_params() + distiller.projection.count_params()
    # Beside those: states of random generators and of metrics.
    assert trained <= stored < trained + 50


@pytest.mark.parametrize("fine_tune", [False, True])
def test_the_checkpoint_of_a_head_holds_its_encoder_only_if_that_is_trained(tmp_path, fine_tune):
    heads = [
        UtteranceClassifier(speech_student(), {"intent": ("a", "b")}, fine_tune=fine_tune)
        for _ in range(2)
    ]
    for head in heads:
        head.compile()
        head.optimizer.build(head.trainable_variables)
    old, new = heads
    for weight in old.weights:
        weight.assign(weight + 1.0)
    TrainingState(tmp_path).save(old, 1)
    parts = [old.weighted_sum, old.projection, old.classifier]
    own = sum(part.count_params() for part in [*parts, *([old.backbone] if fine_tune else [])])
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        stored = sum(file[name].size for name in file.files if name.startswith("model"))
    # Beside those: states of random generators and of metrics.
    assert own <= stored < own + 50
    TrainingState(tmp_path).restore(new)
    for name in ("projection", "classifier", "weighted_sum"):
        layers = (getattr(head, name).get_weights() for head in (new, old))
        for found, expected in zip(*layers, strict=True):
            np.testing.assert_array_equal(found, expected)
    same = [
        np.array_equal(*pair)
        for pair in zip(*(head.backbone.get_weights() for head in heads), strict=True)
    ]
    assert all(same) if fine_tune else not any(same)


def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path):
    _, _, state = run(tmp_path, epochs=2)
    state.path.write_bytes(state.path.read_bytes()[:1000])
    fresh = TrainingState(state.folder, callbacks=[BestStudent(tmp_path / "x", "loss")])
    with pytest.warns(UserWarning, match="state.npz is broken"):
        assert fresh.restore(new_distiller(student_dim=24)) == 1
    assert [logs["epoch"] for logs in fresh.history] == [0]
    state.previous_path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="is broken"),
        pytest.raises(ValueError, match="remove the folder to start anew"),
    ):
        fresh.restore(new_distiller(student_dim=24))


@pytest.mark.parametrize(
    "arrays",
    [
        {"meta": np.array("[]")},
        {"meta": np.array('{"epoch": 1}')},
        {
            "meta": np.array('{"epoch": 1, "fingerprint": {}, "history": [], "callbacks": []}'),
            "model_0000": np.array(["text"]),
        },
    ],
)
def test_what_was_never_saved_falls_back_too(tmp_path, arrays):
    _, _, state = run(tmp_path, epochs=2)
    np.savez(state.path, **arrays)
    fresh = TrainingState(state.folder, callbacks=[BestStudent(tmp_path / "x", "loss")])
    with pytest.warns(UserWarning, match="state.npz is broken"):
        assert fresh.restore(new_distiller(student_dim=24)) == 1


def test_a_kill_while_saving_leaves_a_checkpoint(tmp_path):
    _, _, state = run(tmp_path, epochs=2)
    (state.folder / "state.npz.partial").write_bytes(b"half")
    state.path.unlink()
    fresh = TrainingState(state.folder, callbacks=[BestStudent(tmp_path / "x", "loss")])
    assert fresh.restore(new_distiller(student_dim=24)) == 1


def test_another_configuration_is_named(tmp_path):
    run(tmp_path, epochs=1, fingerprint={"seed": 1, "data": "a"})
    with pytest.raises(ValueError, match=r"another configuration \(seed: 1 -> 2\)"):
        run(tmp_path, epochs=2, fingerprint={"seed": 2, "data": "a"})


def test_another_model_is_refused(tmp_path):
    _, _, state = run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="another model"):
        state.restore(new_distiller(student_dim=16))


def test_pickled_arrays_are_not_read(tmp_path):
    state = TrainingState(tmp_path)
    np.savez(tmp_path / "state.npz", meta=np.array([{"epoch": 1}], dtype=object))
    with (
        pytest.warns(UserWarning, match="allow_pickle"),
        pytest.raises(ValueError, match="can be read"),
    ):
        state.restore(new_distiller())


def test_bfloat16_variables_come_back(tmp_path):
    class Small(keras.Model):
        def __init__(self, value):
            super().__init__()
            self.kept = self.add_weight(shape=(3,), dtype="bfloat16", name="kept")
            self.kept.assign([value, 2 * value, 3 * value])
            self.built = True

    old, new = Small(0.3), Small(0.0)
    for model in (old, new):
        model.compile("sgd")
    TrainingState(tmp_path).save(old, 1)
    assert TrainingState(tmp_path).restore(new) == 1
    values = [ops.convert_to_numpy(ops.cast(model.kept, "float32")) for model in (old, new)]
    np.testing.assert_array_equal(*values)


def test_a_full_disk_keeps_the_checkpoints(tmp_path, monkeypatch):
    model, _, state = run(tmp_path, epochs=2)
    before = {path.name: path.read_bytes() for path in state.folder.iterdir()}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"MB free; make room.*state\.npz"):
        state.save(model, 3)
    assert {path.name: path.read_bytes() for path in state.folder.iterdir()} == before


def test_other_callbacks_are_refused_before_anything_changes(tmp_path):
    run(tmp_path, epochs=1)
    fresh = new_distiller(7, student_dim=24)
    before = weights_of(fresh)
    with pytest.raises(ValueError, match="has the states of 1 callbacks, and `callbacks` has 0"):
        TrainingState(tmp_path / "state").restore(fresh)
    for found, expected in zip(weights_of(fresh), before, strict=True):
        np.testing.assert_array_equal(found, expected)
