import json

import numpy as np
import pytest
from keras import ops

from experiments import conflict
from pad_keras import losses, models
from tests.small import speech_student, text_teacher


def test_cosine():
    assert conflict.cosine(np.array([1.0, 0]), np.array([2.0, 0])) == pytest.approx(1)
    assert conflict.cosine(np.array([1.0, 1]), np.array([-3.0, 0])) == pytest.approx(-(0.5**0.5))
    assert np.isnan(conflict.cosine(np.zeros(2), np.ones(2)))


def test_gradient_is_the_slope_of_the_loss():
    student, teacher = speech_student(), text_teacher()
    distiller = models.AlignmentDistiller(teacher, student, losses.GlobalAlignment(distance="l2"))
    tokens = np.array([[2, 5, 6, 7, 3]] * 2)
    batch = {
        "speech": {
            "waveform": np.random.default_rng(0).normal(size=(2, 2000)).astype("float32"),
            "padding_mask": np.ones((2, 2000), bool),
        },
        "text": {
            "token_ids": tokens,
            "segment_ids": np.zeros_like(tokens),
            "padding_mask": np.ones_like(tokens),
        },
    }
    found = conflict.gradient(distiller, batch)
    variables = student.trainable_variables
    assert found.shape == (sum(int(np.prod(v.shape)) for v in variables),)
    direction = np.random.default_rng(1).normal(size=found.shape)
    values, step, sides = [ops.convert_to_numpy(v) for v in variables], 1e-4, []
    for sign in (1, -1):
        start = 0
        for variable, value in zip(variables, values, strict=True):
            part = direction[start : start + value.size].reshape(value.shape)
            variable.assign(value + sign * step * part)
            start += value.size
        loss = distiller.compute_loss(batch, training=False)
        sides.append(float(ops.convert_to_numpy(loss)))
    slope = (sides[0] - sides[1]) / (2 * step)
    assert slope == pytest.approx(found @ direction, rel=0.01)


def test_the_command(tmp_path, capsys):
    student = speech_student(dim=384, num_layers=1)
    student.save_to_preset(str(tmp_path / "student"))
    settings = conflict.Settings(
        students=(str(tmp_path / "student"),),
        methods=("pad-glob", "splat-tok"),
        out=tmp_path / "out",
        tiny=True,
    )
    results = conflict.main(settings)
    written = json.loads((tmp_path / "out" / "conflict.json").read_text())
    assert written["students"] == results["students"]
    (row,) = results["students"].values()
    assert -1 <= row["lowest"] <= row["together"] <= 1
    assert row["norm of pad-glob"] > 0
    # Whose words are weighted by idf.
    assert row["norm of splat-tok"] > 0
    assert "gradients of pad-glob and splat-tok" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ("pad", "joint")}, r"`methods` has \['pad'\]; there are"),
        ({"students": ()}, "`students` is empty"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        conflict.Settings(**arguments)


def test_too_few_utterances_are_refused():
    with pytest.raises(ValueError, match="two batches of 64 are needed"):
        conflict.main(conflict.Settings(batch_size=64))


def test_a_student_of_another_width_is_refused(tmp_path):
    speech_student(dim=16).save_to_preset(str(tmp_path / "student"))
    with pytest.raises(ValueError, match="has width 16, the teacher 384"):
        conflict.main(conflict.Settings(students=(str(tmp_path / "student"),), tiny=True))
