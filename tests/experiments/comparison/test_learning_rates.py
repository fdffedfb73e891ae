import dataclasses

import pytest

from experiments.comparison import jobs
from experiments.comparison.grid import Grid
from experiments.comparison.run import run_grid
from experiments.comparison.summary import summarise
from experiments.results import write_json
from experiments.understanding.run import DivergedError
from pad_keras.callbacks.best_student import NoStudentError


@pytest.mark.parametrize("select_by", ["ic", "retrieval"])
def test_the_learning_rate_is_chosen_on_valid(comparison, done, select_by):
    comparison = dataclasses.replace(comparison, select_by=select_by, seeds=(0,))
    grid = Grid(comparison)
    assert grid.learning_rate("pad-glob") is None
    planned = len(grid.jobs())
    run_grid(grid)
    assert len(done) == planned
    assert grid.learning_rate("pad-glob") == 1e-3
    search = summarise(grid, [])["search"]["pad-glob"]
    assert "on valid" in search["criterion"]
    # Recalls of 0.2 + 0.1 and twice that; their mean is half as much again.
    expected = {"ic": (0.2, 0.3), "retrieval": (0.3, 0.45)}[select_by]
    assert tuple(search["values"].values()) == pytest.approx(expected)
    has_heads_of_loser = "ic-pad-glob-lr-0.0001-seed-0" in done
    assert has_heads_of_loser == (select_by == "ic")


def test_a_learning_rate_that_diverges_is_no_choice(comparison, done, monkeypatch):
    real = jobs.distill

    def diverge(configuration):
        is_high = configuration.training.learning_rate == 1e-3
        if "pad-glob" in configuration.name or is_high:
            (configuration.folder / "state").mkdir(parents=True)
            raise NoStudentError("No student was saved")
        real(configuration)

    monkeypatch.setattr(jobs, "distill", diverge)
    grid = Grid(comparison)
    run_grid(grid)
    assert grid.learning_rate("mean-l1") == 1e-4
    assert grid.learning_rate("pad-glob") is None
    assert not any(name.startswith(("ic-pad-glob", "sf-pad-glob")) for name in done)
    summary = summarise(grid, [("pad-glob", "mean-l1")])
    assert summary["jobs"]["planned"] == summary["jobs"]["done"]
    assert summary["search"]["pad-glob"]["values"] == {"0.0001": None, "0.001": None}
    assert not summary["differences"]


def test_heads_that_diverge_leave_a_gap_in_the_table(comparison, done, monkeypatch):
    real = jobs.understand

    def diverge(settings):
        if settings.name in ("sf-undistilled", "ic-mean-l1-lr-0.001-seed-0"):
            write_json(settings.folder / "configuration.json", {"encoder": {"weights": "abc"}})
            raise DivergedError("Heads diverged at each of [0.002]")
        real(settings)

    monkeypatch.setattr(jobs, "understand", diverge)
    grid = Grid(comparison)
    run_grid(grid)
    summary = summarise(grid, [("mean-l1", "undistilled")])
    assert summary["search"]["mean-l1"]["learning_rate"] == 1e-4
    assert "sf_f1" not in summary["encoders"]["undistilled"]["table"]
    assert summary["encoders"]["mean-l1"]["table"]["sf_f1"]["n"] == 3
    assert summary["chance"]["sf_f1"] == 0.05
    before = len(done)
    run_grid(Grid(comparison))
    assert len(done) == before
