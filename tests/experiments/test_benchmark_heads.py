import json

import numpy as np
import pytest
from keras import ops
from torch import nn

from experiments.benchmarks import head_steps, heads, torch_heads
from tests.backend import BACKEND

NAMES = ("classifier", "pooled classifier", "slot filler")


def test_heads_are_compared(tmp_path, capsys):
    seconds = heads.main(heads.Settings(threads=None, tiny=True, out=tmp_path))
    assert seconds.keys() == {*NAMES, *(f"{name}, torch" for name in NAMES)}
    assert all(len(rounds) == 1 for rounds in seconds.values())
    written = json.loads((tmp_path / f"heads-tiny-{BACKEND}.json").read_text())
    assert [(row["head"], row["other"]) for row in written["table"]] == [
        *((name, "torch") for name in NAMES),
        ("pooled classifier", "classifier"),
    ]
    assert written["table"][0]["ms"] == pytest.approx(1000 * seconds["classifier"][0])
    assert written["details"]["seconds"] == seconds
    assert written["settings"]["layers"] == heads.Settings(tiny=True).resolved().layers
    classifiers, fillers = written["details"]["first_losses"]
    assert (len(classifiers), len(fillers)) == (4, 2)
    # Cross-entropies of three groups and a CTC loss for each label, of heads that know nothing.
    assert np.ptp(list(classifiers.values())) < 1e-3
    assert classifiers["classifier"] == pytest.approx(np.log(6 * 14 * 4), rel=0.5)
    assert fillers["slot filler"] > 1
    assert "other / head" in capsys.readouterr().out


def loss_alone(head, inputs, targets):
    """In place of a training step, which takes long to compile."""
    return lambda: float(ops.stop_gradient(head.compute_loss(y=targets, y_pred=head(inputs))))


def test_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(head_steps, "keras_step", loss_alone)
    monkeypatch.setattr(torch_heads, "_linear", lambda dense: nn.Linear(*dense.kernel.shape))
    with pytest.raises(ValueError, match="do not begin at one loss.*classifier, torch"):
        heads.main(heads.Settings(threads=None, tiny=True, out=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("losses", [(1.0, 1.001), (1.0, float("nan")), (float("nan"), 1.0)])
def test_unequal_losses_are_refused(losses):
    with pytest.raises(ValueError, match="one loss"):
        heads.check_equal(dict(zip(("ours", "torch"), losses, strict=True)))


def test_losses_that_rounding_tells_apart_are_equal():
    heads.check_equal({"ours": 5.0, "torch": 5.0001, "other": 4.9999})


def test_texts_have_frames_enough():
    settings = heads.Settings(frames=40, batch=64)
    generator = np.random.default_rng(0)
    mask = head_steps.random_inputs(heads.Settings(frames=40, batch=64, layers=1, dim=1), generator)
    _, texts = head_steps.random_targets(settings, generator, tokens=2)
    # One token alone: each label but the first repeats, and needs a blank before it.
    assert np.all(2 * texts["length"] <= mask["mask"].sum(axis=1))
    assert np.all((texts["ids"] > 0).sum(axis=1) == texts["length"])
