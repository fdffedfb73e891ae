import json

import numpy as np
import pytest

from experiments.benchmarks import kills
from tests.backend import BACKEND
from tests.small import speech_student

# Stands in for an experiment: a second of work, with a checkpoint in its middle.
EXPERIMENT = """
import json, pathlib, shutil, sys, time
forgets, preset, _, out, _, name = sys.argv[1:]
folder = pathlib.Path(out) / f"{name}-tiny"
folder.mkdir(parents=True, exist_ok=True)
state = folder / "state"
begun = state.exists()
if not begun:
    time.sleep(0.5)
    state.write_text("half")
time.sleep(1.0)
shutil.copytree(preset, folder / "student", dirs_exist_ok=True)
loss = 2.0 if begun and forgets == "forgets" else 1.0
(folder / "results.json").write_text(json.dumps({"history": [{"loss": loss}], "versions": {}}))
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Replaces the distillation by `EXPERIMENT`, which may forget what it had."""
    (tmp_path / "stand_in.py").write_text(EXPERIMENT)
    speech_student().save_to_preset(str(tmp_path / "preset"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def replace(kind):
        command = ("stand_in", kind, str(tmp_path / "preset"))
        monkeypatch.setitem(kills._COMMANDS, "distill", command)

    return replace


def test_runs_that_go_on_as_they_were_are_told_apart_by_nothing(experiment, tmp_path):
    experiment("remembers")
    rows = kills.main(kills.Settings(kills=4, out=tmp_path))
    assert [row[-1] for row in rows] == [0.0] * 4
    assert "yes" in {row[1] for row in rows}
    written = json.loads((tmp_path / f"kills-distill-{BACKEND}.json").read_text())
    assert len(written["table"]) == 4


def test_a_run_that_forgets_is_found(experiment, tmp_path):
    experiment("forgets")
    with pytest.raises(ValueError, match="A killed run ended 1 apart"):
        kills.main(kills.Settings(kills=4, out=tmp_path))


def test_outcomes_differ_by_results_weights_and_files():
    weights = [np.ones((2, 2), "float32"), np.zeros(3, "float32")]
    outcome = ({"/loss": 4.0}, weights, {"results.json"})
    assert kills.difference(outcome, outcome) == 0
    assert kills.difference(({"/loss": 5.0}, *outcome[1:]), outcome) == pytest.approx(0.25)
    moved = (outcome[0], [weights[0] + 0.1, weights[1]], outcome[2])
    assert kills.difference(moved, outcome) == pytest.approx(0.1, rel=1e-5)
    with pytest.raises(ValueError, match=r"has the files \['state.npz.partial'\]"):
        kills.difference((*outcome[:2], {"results.json", "state.npz.partial"}), outcome)
    with pytest.raises(ValueError, match=r"has the results \['/loss'\]"):
        kills.difference(({}, *outcome[1:]), outcome)


def test_a_run_that_fails_is_named(experiment, tmp_path, monkeypatch):
    monkeypatch.setitem(kills._COMMANDS, "distill", ("no_such_module",))
    log = tmp_path / "log.txt"
    with open(log, "w") as file, pytest.raises(RuntimeError, match=r"failed:(.|\n)*no_such_module"):
        kills.finish("distill", tmp_path / "run", file)
