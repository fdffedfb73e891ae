import numpy as np
import pytest
from keras import ops

from pad_keras.callbacks import BestStudent
from pad_keras.models import Wav2Vec2Backbone
from tests.callbacks.runs import new_distiller, train
from tests.models.test_alignment_distiller import batch


def tried(tmp_path, values, mode="min"):
    """The epochs at which a student was written, for values of a made-up measure."""
    best = BestStudent(tmp_path / "student", "measure", mode)
    best.set_model(new_distiller())
    saved = []
    for epoch, value in enumerate(values):
        best.on_epoch_end(epoch, {"measure": value})
        if best.epoch == epoch:
            saved.append(epoch)
    return saved


@pytest.mark.parametrize(
    ("mode", "expected"), [("min", [0, 2, 5]), ("max", [0, 1, 4])], ids=["min", "max"]
)
def test_only_improvements_are_saved(tmp_path, mode, expected):
    assert tried(tmp_path, [3.0, 4.0, 2.0, 2.0, 5.0, 1.0], mode) == expected


def test_nan_is_never_best(tmp_path):
    assert tried(tmp_path, [float("nan"), 2.0, float("nan"), 1.0]) == [1, 3]


def units_of(distiller, inputs):
    return ops.convert_to_numpy(distiller.predict_on_batch(inputs)["embeddings"])


def test_student_and_projection_come_back(tmp_path):
    distiller = new_distiller(student_dim=24)
    best = BestStudent(tmp_path / "student", "loss")
    train(distiller, 1, [best])
    inputs = batch(distiller.teacher)
    expected = units_of(distiller, inputs)
    other = new_distiller(seed=9, student_dim=24)
    assert not np.allclose(units_of(other, inputs), expected, atol=1e-2)
    best.load(other)
    np.testing.assert_allclose(units_of(other, inputs), expected, atol=1e-5)
    preset = Wav2Vec2Backbone.from_preset(str(tmp_path / "student"))
    speech = ops.convert_to_numpy(preset(inputs["speech"])["sequence_output"])
    projection = np.load(tmp_path / "student" / "projection.npz")
    np.testing.assert_allclose(
        speech @ projection["kernel"] + projection["bias"], expected, atol=1e-4
    )


def test_wrong_use_is_explained(tmp_path):
    best = BestStudent(tmp_path / "student")
    with pytest.raises(ValueError, match=r"'val_loss' and the logs have \['loss'\]"):
        best.on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="Train first"):
        best.load(None)
    with pytest.raises(ValueError, match="'min' or 'max', got 'least'"):
        BestStudent(tmp_path, mode="least")
