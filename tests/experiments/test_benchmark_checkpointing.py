import json

import pytest

from experiments.benchmarks import checkpointing, computations, measure
from tests.backend import BACKEND


def test_time_and_memory_are_compared(tmp_path, monkeypatch):
    # A process for each peak would cost the test a minute.
    monkeypatch.setattr(checkpointing.measure, "in_own_process", lambda f, *inputs: f(*inputs))
    ((name, ratio, *megabytes),) = checkpointing.main(
        checkpointing.Settings(tiny=True, out=tmp_path)
    )
    assert name == "2 x 0.5 s"
    assert ratio.median > 0
    assert len(megabytes) == 4
    written = json.loads((tmp_path / f"checkpointing-mini-{BACKEND}.json").read_text())
    assert written["details"][0]["times"].keys() == {"with", "without"}


@pytest.mark.parametrize("name", ["with", "without"])
def test_no_less_memory_is_taken_than_foretold(name):
    settings = checkpointing.Settings(tiny=True).resolved()
    taken = measure.in_own_process(checkpointing.peak, settings, 12.0, name)
    foretold = checkpointing.least(settings, 12.0, name)
    # It is a bound, and no idle one.
    assert foretold < taken < 10 * foretold


def test_the_two_differ_in_checkpointing_alone(monkeypatch):
    built = []
    monkeypatch.setattr(computations, "forward_backward", lambda model, inputs: built.append(model))
    for name in ("with", "without"):
        checkpointing.training_pass(checkpointing.Settings(tiny=True).resolved(), 0.5, name)
    first, second = (model.get_config() for model in built)
    differing = {key for key in first if first[key] != second[key]} - {"name"}
    assert differing == {"gradient_checkpointing"}
    assert first["gradient_checkpointing"]


def test_what_computes_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing.measure, "in_own_process", lambda *inputs: None)
    monkeypatch.setattr(
        checkpointing, "training_pass", lambda _, __, name: lambda: 1.0 if name == "with" else 2.0
    )
    with pytest.raises(ValueError, match="The two differ by 0.5"):
        checkpointing.main(checkpointing.Settings(tiny=True, out=tmp_path))
    assert not list(tmp_path.iterdir())
