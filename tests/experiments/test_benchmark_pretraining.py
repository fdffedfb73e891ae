import json

import numpy as np
import pytest

from experiments.benchmarks import pretraining
from tests.backend import BACKEND


def test_updates_are_compared(tmp_path):
    ((name, ratio),) = pretraining.main(pretraining.Settings(tiny=True, out=tmp_path))
    assert name == "2 x 0.5 s"
    assert ratio.median > 0
    written = json.loads((tmp_path / f"pretraining-mini-{BACKEND}.json").read_text())
    assert written["details"]["times"].keys() == {"pad_keras", "transformers"}


def test_both_begin_at_one_loss_and_learn(monkeypatch):
    # Without the compiler that the first test waits for.
    monkeypatch.setattr(pretraining, "resolve_jit", lambda _: False)
    updates = pretraining.candidates(pretraining.Settings(tiny=True).resolved())
    ours = updates["pad_keras"]()
    ours = float(np.asarray(ours[0] if isinstance(ours, list | tuple) else ours))
    theirs = [updates["transformers"]() for _ in range(5)]
    # Of other masks.
    assert ours == pytest.approx(theirs[0], rel=0.2)
    assert theirs[-1] < theirs[0]


def test_what_computes_something_else_is_refused(monkeypatch):
    logits = pretraining.Theirs.logits
    # As if the reference masked nothing.
    monkeypatch.setattr(
        pretraining.Theirs, "logits", lambda self, x, masked: logits(self, x, masked & False)
    )
    with pytest.raises(ValueError, match="Ours and transformers"):
        pretraining.candidates(pretraining.Settings(tiny=True).resolved())
