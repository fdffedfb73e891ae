import contextlib
import dataclasses
import shutil
import threading

import pytest

from experiments.comparison import jobs, run
from experiments.comparison.configuration import Heads
from experiments.comparison.grid import Grid
from experiments.comparison.outcome import compare
from experiments.comparison.report import tables
from experiments.comparison.run import announce, prepare_student, run_grid
from experiments.comparison.summary import summarise
from experiments.locks import alone_in
from tests.small import speech_student


def test_work_goes_seed_by_seed_and_each_job_once(comparison, done, capsys):
    grid = Grid(comparison)
    announce(grid)
    # Two rates of two methods at the first seed, one at two more; heads: two encoders that are
    # not distilled, ic of each rate, sf and few shots of the winner, three sets of later seeds.
    assert "distillations: 8, of which 0 are done" in capsys.readouterr().out
    planned = len(grid.jobs())
    run_grid(grid)
    assert len(done) == len(set(done)) == planned == len(grid.jobs()) == 8 + 2 * 3 + 2 * 4 + 4 * 3
    assert done[:6] == [
        f"{task}-{encoder}{shots}"
        for encoder in ("undistilled", "text")
        for task, shots in (("ic", ""), ("sf", ""), ("ic", "-2-shot"))
    ]
    assert done[6:12] == [
        "mean-l1-lr-0.0001-seed-0",
        "ic-mean-l1-lr-0.0001-seed-0",
        "mean-l1-lr-0.001-seed-0",
        "ic-mean-l1-lr-0.001-seed-0",
        "sf-mean-l1-lr-0.001-seed-0",
        "ic-mean-l1-lr-0.001-seed-0-2-shot",
    ]
    seeds = [int(name.split("-seed-")[1][0]) for name in done if "-seed-" in name]
    assert seeds == sorted(seeds)
    announce(Grid(comparison))
    assert "sets of heads: 26, of which 26 are done" in capsys.readouterr().out


def test_what_is_done_is_not_done_again_and_seeds_are_added(comparison, done):
    run_grid(Grid(dataclasses.replace(comparison, seeds=(0,))))
    before = list(done)
    run_grid(Grid(dataclasses.replace(comparison, seeds=(0,))))
    assert done == before
    run_grid(Grid(comparison))
    assert done[: len(before)] == before
    assert all("-seed-1" in name or "-seed-2" in name for name in done[len(before) :])
    more = dataclasses.replace(comparison, ic=Heads(seeds=(0, 1, 2)))
    before = list(done)
    run_grid(Grid(more))
    assert done[len(before) :]
    assert all(name.startswith("ic-") for name in done[len(before) :])


def test_a_grid_that_was_killed_goes_on(comparison, done, monkeypatch):
    real = jobs.understand

    def kill_at_slots(settings):
        if settings.name == "sf-mean-l1-lr-0.001-seed-0":
            raise KeyboardInterrupt
        real(settings)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "understand", kill_at_slots)
        with pytest.raises(KeyboardInterrupt):
            run_grid(Grid(comparison))
    summary = summarise(Grid(comparison), [])
    assert set(summary["encoders"]["mean-l1"]["table"]) == {"ic"}
    assert not summary["encoders"]["pad-glob"]["table"]
    assert "unfinished" in tables(summary, "Table")[0].title
    before = len(done)
    run_grid(Grid(comparison))
    assert done[before] == "sf-mean-l1-lr-0.001-seed-0"
    assert len(done) == len(set(done))


def test_processes_share_the_work(comparison, done, capsys, monkeypatch):
    everything = {job.folder.name for job in Grid(comparison).jobs()}
    # Another process is at one unit, and stops there before it has done anything.
    other = contextlib.ExitStack()
    other.enter_context(alone_in(comparison.folder / "pad-glob-seed-0"))
    before_waiting = []

    def wait(seconds):
        before_waiting.extend(done)
        other.close()

    monkeypatch.setattr(run.time, "sleep", wait)
    run_grid(Grid(comparison))
    # Later seeds of the method wait for its learning rate, which the other process looks for.
    assert "ic-mean-l1-lr-0.001-seed-2" in before_waiting
    assert not any("pad-glob" in name for name in before_waiting)
    told = capsys.readouterr().out
    assert "at work on pad-glob-seed-0, pad-glob-seed-1, pad-glob-seed-2" in told
    assert len(done) == len(set(done)) == len(everything)


def test_a_process_starts_while_another_trains_heads_on_the_undistilled(comparison, monkeypatch):
    saved = []
    monkeypatch.setattr(run, "save_undistilled", lambda preset, folder, adapt: saved.append(folder))
    with alone_in(comparison.undistilled):
        starting = threading.Thread(target=prepare_student, args=[comparison], daemon=True)
        starting.start()
        starting.join(30)
        assert saved == [comparison.undistilled]


def test_results_of_another_student_are_refused(comparison, done, tmp_path):
    first = dataclasses.replace(comparison, seeds=(0,), publish=tmp_path / "published")
    student = speech_student()
    student.save_to_preset(str(first.undistilled))
    prepare_student(first)
    compare(first, "two", [("pad-glob", "mean-l1")], {"two": ("Two", None)})
    elsewhere = dataclasses.replace(first, out=tmp_path / "elsewhere")
    shutil.copytree(first.publish / "distil", elsewhere.folder / "distil")
    student.save_to_preset(str(elsewhere.undistilled))
    prepare_student(elsewhere)
    speech_student(seed=8).save_to_preset(str(elsewhere.undistilled))
    with pytest.raises(ValueError, match=r"elsewhere holds distillations of another student"):
        prepare_student(elsewhere)


def test_frames_of_another_process_stay(comparison, done):
    frames = comparison.folder / "heads" / "hidden_states" / "def-frames-float32"
    frames.mkdir(parents=True)
    run_grid(Grid(dataclasses.replace(comparison, seeds=(0,))))
    assert frames.is_dir()


def test_results_go_on_in_another_folder(comparison, done, tmp_path, capsys):
    first = dataclasses.replace(comparison, seeds=(0,), publish=tmp_path / "published")
    summary = compare(first, "two", [("pad-glob", "mean-l1")], {"two": ("Two", None)})
    assert "published    18 jobs" in capsys.readouterr().out
    files = {path.name for path in first.publish.iterdir()}
    assert {"two.json", "two.md", "two.png", "distil", "heads"} <= files
    assert not list(first.publish.rglob("student"))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(first.publish, elsewhere)
    settings = dataclasses.replace(comparison, out=elsewhere, publish=None)
    again = compare(
        dataclasses.replace(settings, seeds=(0,), report_only=True),
        "two",
        [("pad-glob", "mean-l1")],
        {"two": ("Two", None)},
    )
    assert again["encoders"] == summary["encoders"]
    before = len(done)
    # Another task needs students that stayed behind: they are distilled anew, and nothing else is.
    more = dataclasses.replace(settings, seeds=(0,), tasks=("ic", "sf", "er"), er=settings.ic)
    run_grid(Grid(more))
    assert done[before:] == [
        "er-undistilled",
        "er-text",
        "mean-l1-lr-0.001-seed-0",
        "er-mean-l1-lr-0.001-seed-0",
        "pad-glob-lr-0.001-seed-0",
        "er-pad-glob-lr-0.001-seed-0",
    ]


def test_another_mistake_is_no_divergence(comparison, done, monkeypatch):
    def fail(configuration):
        raise ValueError("speakers are shared")

    monkeypatch.setattr(jobs, "distill", fail)
    with pytest.raises(ValueError, match="speakers are shared"):
        run_grid(Grid(comparison))


def test_another_configuration_is_refused(comparison, done):
    run_grid(Grid(comparison))
    with pytest.raises(ValueError, match=r"training.epochs: 10 -> 3\). Give another --out"):
        Grid(dataclasses.replace(comparison, epochs=3)).jobs()


def test_what_met_nothing_broken_goes_on_with_leaving_it_out(comparison, done):
    run_grid(Grid(comparison))
    count = len(done)
    skipping = dataclasses.replace(
        comparison,
        data=dataclasses.replace(comparison.data, on_error="skip"),
        ic=dataclasses.replace(comparison.ic, on_error="skip"),
        er=dataclasses.replace(comparison.er, on_error="skip"),
        sf=dataclasses.replace(comparison.sf, on_error="skip"),
    )
    run_grid(Grid(skipping))
    assert len(done) == count
    # The other way round something may have been left out.
    shutil.rmtree(comparison.folder)
    run_grid(Grid(skipping))
    with pytest.raises(ValueError, match="data.on_error: 'skip' -> 'raise'"):
        run_grid(Grid(comparison))


def test_what_resuming_needed_is_removed(comparison, done):
    run_grid(Grid(comparison))
    for folder in (comparison.folder / "distil").iterdir():
        assert {path.name for path in folder.iterdir()} == {"results.json", "student"}
    states = comparison.folder / "heads" / "hidden_states"
    assert [path.name for path in states.iterdir()] == ["abc-pooled-float32"]


def test_hidden_states_are_kept_on_demand(comparison, done):
    run_grid(Grid(dataclasses.replace(comparison, keep_hidden_states=True, seeds=(0,))))
    states = comparison.folder / "heads" / "hidden_states"
    assert len(list(states.iterdir())) == 2
