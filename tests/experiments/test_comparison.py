import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from experiments.comparison import jobs, run
from experiments.comparison.configuration import Comparison, Heads, Variant
from experiments.comparison.grid import Grid
from experiments.comparison.jobs import Distillation
from experiments.comparison.measures import Run, difference, estimate, gap_closed
from experiments.comparison.outcome import compare
from experiments.comparison.report import markdown, tables
from experiments.comparison.run import announce, run_grid
from experiments.comparison.summary import summarise
from experiments.distillation.configuration import Data
from experiments.distillation.methods import METHODS
from experiments.locks import alone_in
from experiments.results import write_json
from experiments.statistics import paired_difference
from experiments.understanding.run import DivergedError
from pad_keras.callbacks.best_student import NoStudentError
from tests.backend import BACKEND

ROOT = pathlib.Path(__file__).parents[2]
# What the rates and methods of the stand-in below are worth.
WORTH = {"mean-l1": 0.0, "pad-glob": 0.2, 1e-4: 0.0, 1e-3: 0.1}


@dataclasses.dataclass(frozen=True)
class Two(Comparison):
    def variants(self):
        return [Variant(name, *METHODS[name]) for name in ("mean-l1", "pad-glob")]


@pytest.fixture
def done(monkeypatch):
    """Stand-ins that write results at once; the list of what they did, in order."""
    log = []

    def distill(configuration):
        log.append(configuration.name)
        method = configuration.name.split("-lr-")[0]
        rate, seed = configuration.training.learning_rate, configuration.training.seed
        for name in ("student", "state", "teacher_units"):
            (configuration.folder / name).mkdir(parents=True, exist_ok=True)
        recall = WORTH[method] + WORTH[rate] + 0.01 * seed
        measures = {"recall_at_1": recall, "recall_at_10": 2 * recall}
        measures |= {"word_overlap": 0.3 + recall, "word_overlap_chance": 0.2}
        results = {
            "configuration": configuration.resolved(),
            "history": [{"epoch": 0, **{f"val_{name}": v for name, v in measures.items()}}],
            "best_epoch": 0,
            "test": measures,
            "utterances": {"test": 80},
        }
        write_json(configuration.folder / "results.json", results)

    def understand(settings):
        log.append(settings.name)
        for kind in ("frames", "pooled"):
            folder = settings.out / "hidden_states" / f"abc-{kind}-float32"
            folder.mkdir(parents=True, exist_ok=True)
        write_json(settings.folder / "configuration.json", {"encoder": {"weights": "abc"}})
        method, _, rest = settings.name.partition("-")[2].partition("-lr-")
        worth = WORTH[method] + WORTH[float(rest.split("-seed-")[0])] if rest else 0.5
        names = ["slot_type_f1", "slot_value_cer"] if settings.task == "sf" else ["exact_match"]
        values = [worth + 0.1 + 0.001 * seed for seed in settings.seeds]
        results = {
            "configuration": settings,
            "valid": {"0.002": worth},
            "test": {"all": {name: {"seeds": values} for name in names}},
            "chance": dict.fromkeys(names, 0.05),
        }
        write_json(settings.folder / "results.json", results)

    monkeypatch.setattr(jobs, "distill", distill)
    monkeypatch.setattr(jobs, "understand", understand)
    monkeypatch.setattr(run, "save_undistilled", lambda preset, folder: None)
    # There are no models to free, and looking for them takes longer than all the rest.
    monkeypatch.setattr(jobs.keras.utils, "clear_session", lambda: None)
    return log


@pytest.fixture
def comparison(tmp_path):
    heads = Heads(seeds=(0, 1))
    return Two(
        seeds=(0, 1, 2),
        learning_rates=(1e-4, 1e-3),
        tasks=("ic", "sf"),
        ic=heads,
        sf=heads,
        shots=(2,),
        references=("text",),
        out=tmp_path,
    )


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


def test_frames_of_another_process_stay(comparison, done):
    frames = comparison.folder / "heads" / "hidden_states" / "def-frames-float32"
    frames.mkdir(parents=True)
    run_grid(Grid(dataclasses.replace(comparison, seeds=(0,))))
    assert frames.is_dir()


def test_results_go_on_on_another_machine(comparison, done, tmp_path, capsys):
    first = dataclasses.replace(comparison, seeds=(0,), publish=tmp_path / "published")
    summary = compare(first, "two", [("pad-glob", "mean-l1")], {"two": ("Two", None)})
    assert "published    18 jobs" in capsys.readouterr().out
    files = {path.name for path in first.publish.iterdir()}
    assert {"two.json", "two.md", "two.png", "distil", "heads"} <= files
    assert not list(first.publish.rglob("student"))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(first.publish, elsewhere)
    settings = dataclasses.replace(comparison, out=elsewhere, publish=None)
    # Paths in results are of the first machine's folder unless it lies in the project.
    for path in elsewhere.rglob("results.json"):
        path.write_text(path.read_text().replace(str(tmp_path), str(elsewhere)))
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


def test_tables_pictures_and_json(comparison, done, capsys):
    groups = {"all": ("All", None), "some": ("Some", ("undistilled", "pad-glob"))}
    summary = compare(comparison, "two", [("pad-glob", "mean-l1")], groups)
    assert summary == json.loads((comparison.folder / "two.json").read_text())
    table = summary["encoders"]["pad-glob"]["table"]
    assert table["ic"] == {
        "mean": pytest.approx(0.4005),
        # Alike at each seed.
        "interval": pytest.approx(0, abs=1e-9),
        "n": 3,
        "over": "distillation seeds",
    }
    assert summary["encoders"]["text"]["table"]["ic"]["over"] == "head seeds"
    assert summary["chance"] == {"ic": 0.05, "sf_f1": 0.05, "sf_cer": 0.05}
    assert summary["alignment_chance"]["recall_at_10"] == 10 / 80
    assert summary["encoders"]["pad-glob"]["alignment"]["recall_at_1"]["mean"] == pytest.approx(
        0.31
    )
    text = (comparison.folder / "two.md").read_text()
    assert "| pad-glob | 0.401 ± 0.000 | 0.401 ± 0.000 | 0.401 ± 0.000 | 3 seeds |" in text
    assert "| pad-glob - mean-l1 | +0.200 ± 0.000" in text
    told = capsys.readouterr().out
    for words in ("Paired differences", "Learning rates of distillation", "chance"):
        assert words in told
    pictures = {f"{group}{kind}.png" for group in groups for kind in ("", "-shots", "-alignment")}
    assert {path.name for path in comparison.folder.glob("*.png")} == pictures
    assert any((comparison.folder / "tensorboard" / "all").iterdir())


def test_only_a_report_trains_nothing(comparison, done):
    summary = compare(dataclasses.replace(comparison, report_only=True), "two", [], {})
    assert not done
    assert summary["jobs"]["done"] == 0


def test_markdown_is_a_table(comparison, done):
    run_grid(Grid(dataclasses.replace(comparison, seeds=(0,))))
    found = tables(summarise(Grid(dataclasses.replace(comparison, seeds=(0,))), []), "One")
    for part in markdown(found).split("### ")[1:]:
        rows = [line for line in part.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1
    # A single seed has no interval.
    assert "±" not in markdown(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": ()}, "`seeds` must be different values, at least one, got"),
        ({"seeds": (1, 1)}, "`seeds` must be different values"),
        ({"learning_rates": (1e-4, -1.0)}, "`learning_rates` must be positive, got"),
        ({"tasks": ()}, "`tasks` must be different values"),
        ({"shots": (2, 2)}, "`shots` must be different values, got"),
        ({"references": ("text", "text")}, "`references` must be different values"),
        ({"epochs": 0}, "`epochs` must be at least 1, got 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"tasks": ("sf",)}, "`select_by` 'ic' needs 'ic' among `tasks`"),
        ({"tasks": ("sf",), "select_by": "retrieval"}, "`shots` .* need 'ic' among `tasks`"),
        ({"sf": Heads(seeds=())}, "`sf`: `seeds` must be different values"),
        ({"ic": Heads((-1.0,))}, "`ic`: `learning_rates` must be positive"),
        ({"shots": (0,)}, "`shots` must be at least 1, got 0"),
    ],
)
def test_arguments_that_mislead_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Two(**arguments)


def test_all_methods_share_everything_but_the_objective(comparison):
    one, other = (comparison.distillation(v, 1e-3, 1) for v in comparison.variants())
    same = dataclasses.replace(other, name=one.name, objective=one.objective)
    assert one == same
    assert one.student.freeze_feature_encoder
    assert one.student.preset == str(comparison.undistilled)


def test_the_topline_is_the_teacher(comparison):
    teacher = dataclasses.replace(comparison.teacher, preset="bert_base_en_uncased")
    grids = [Grid(comparison), Grid(dataclasses.replace(comparison, teacher=teacher))]
    sources = [grid.fixed_encoders()[1].source for grid in grids]
    assert sources == ["text", "text:bert_base_en_uncased"]


def test_fewer_hours_are_seen_more_often(comparison, monkeypatch):
    monkeypatch.setattr("experiments.comparison.configuration.training_hours", lambda data: 0.4)
    quarter = Variant("quarter", *METHODS["pad-glob"], hours_share=0.25)
    found = comparison.distillation(quarter, 1e-3, 0)
    assert found.data == dataclasses.replace(Data(), hours=0.1)
    assert found.training.epochs == 40


def test_a_paired_difference_is_scipys():
    values, others = [0.61, 0.72, 0.93, 0.60], [0.52, 0.55, 0.61, 0.58]
    found = paired_difference(values, others)
    test = stats.ttest_rel(values, others)
    low, high = test.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.mean - found.interval, found.mean + found.interval) == pytest.approx((low, high))
    assert found.n == 4


def test_a_paired_difference_by_hand():
    # Differences 1, 2, 3: standard error 1 / sqrt(3), t = 2 sqrt(3) of 2 degrees of freedom.
    found = paired_difference([2, 4, 6], [1, 2, 3])
    assert found == pytest.approx((2.0, 4.3027 / 3**0.5, 0.0742, 3), rel=1e-3)
    assert paired_difference([0.5], [0.3]) == (pytest.approx(0.2), None, None, 1)
    assert paired_difference([0.5, 0.6], [0.5, 0.6]) == (0.0, 0.0, None, 2)
    with pytest.raises(ValueError, match="must pair up, got 2 and 1 values"):
        paired_difference([1, 2], [1])


def runs(values):
    """Runs of `{distillation seed: {head seed: value}}`."""
    return [Run(v, head, seed) for seed, heads in values.items() for head, v in heads.items()]


def test_heads_are_averaged_within_a_distillation_seed():
    found = estimate(runs({0: {0: 0.4, 1: 0.6}, 1: {0: 0.6, 1: 0.6}, 2: {0: 0.7, 1: 0.7}}))
    # Of 0.5, 0.6 and 0.7, not of six values.
    assert found["mean"] == pytest.approx(0.6)
    assert found["interval"] == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3)
    assert (found["n"], found["over"]) == (3, "distillation seeds")
    two = estimate(runs({0: {0: 0.4}, 1: {0: 0.6}}))
    assert two["interval"] is None
    heads = estimate(runs({None: {0: 0.5, 1: 0.6, 2: 0.7}}))
    assert (heads["n"], heads["over"]) == (3, "head seeds")
    assert heads["interval"] == pytest.approx(found["interval"])


def test_distilled_encoders_pair_by_distillation_seed():
    first = {0: {0: 0.5, 1: 0.7}, 1: {0: 0.8, 1: 0.8}, 2: {0: 0.9, 1: 0.9}, 3: {0: 0.1, 1: 0.1}}
    second = {2: {0: 0.6, 1: 0.6}, 0: {0: 0.5, 1: 0.5}, 1: {0: 0.6, 1: 0.6}}
    found = difference(runs(first), runs(second))
    expected = paired_difference([0.6, 0.8, 0.9], [0.5, 0.6, 0.6])
    assert found["n"] == 3
    for name in ("mean", "interval", "p"):
        assert found[name] == pytest.approx(getattr(expected, name))


def test_what_is_not_distilled_pairs_by_head_seed():
    undistilled = {None: {0: 0.2, 1: 0.3, 2: 0.4}}
    # The head seed 2 of the first is missing.
    distilled = {0: {0: 0.5, 1: 0.5}, 1: {0: 0.6, 1: 0.6}, 2: {0: 0.7, 1: 0.7}}
    found = difference(runs(distilled), runs(undistilled))
    assert (found["mean"], found["n"]) == (pytest.approx(0.35), 3)
    assert found["over"] == "distillation seeds"
    opposite = difference(runs(undistilled), runs(distilled))
    assert opposite["mean"] == pytest.approx(-found["mean"])
    topline = {None: {0: 0.8, 1: 1.0, 2: 0.9}}
    found = difference(runs(topline), runs(undistilled))
    assert (found["n"], found["over"]) == (3, "head seeds")
    assert found["p"] == pytest.approx(stats.ttest_rel([0.8, 1.0, 0.9], [0.2, 0.3, 0.4]).pvalue)
    assert difference(runs({0: {0: 0.5}}), runs({1: {0: 0.5}})) is None


def test_two_pairs_have_no_p_value():
    found = difference(runs({0: {0: 0.5}, 1: {0: 0.7}}), runs({0: {0: 0.4}, 1: {0: 0.4}}))
    assert (found["interval"], found["p"], found["n"]) == (None, None, 2)


def test_the_gap_that_is_closed():
    undistilled, topline = runs({None: {0: 0.2}}), runs({None: {0: 1.0}})
    distilled = runs({0: {0: 0.4}, 1: {0: 0.6}, 2: {0: 0.8}})
    found = gap_closed(distilled, undistilled, topline)
    assert (found["mean"], found["n"]) == (pytest.approx(0.5), 3)
    assert found["interval"] == pytest.approx(4.3027 * 0.2 / 3**0.5 / 0.8, rel=1e-3)
    # Of an error rate, down is up.
    assert gap_closed(distilled, topline, undistilled, lower_is_better=True)["mean"] == (
        pytest.approx(0.5)
    )
    assert gap_closed(distilled, topline, undistilled) is None
    assert gap_closed(distilled, topline, topline) is None


def test_jobs_know_their_student(comparison):
    grid = Grid(comparison)
    encoder = grid.distilled("pad-glob", 1e-3, 2)
    job = grid.distillation("pad-glob", 1e-3, 2)
    assert isinstance(job, Distillation)
    assert encoder.source == str(job.student)
    assert grid.heads_of(encoder, "ic", 2).folder.name == "ic-pad-glob-lr-0.001-seed-2-2-shot"
    assert np.all([s.settings.encoder == encoder.source for s in grid.heads(encoder)])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the scripts are run once")
@pytest.mark.parametrize("name", ["distill", "table1", "ablations"])
def test_a_script_runs_as_a_file_from_anywhere(name, tmp_path):
    told = subprocess.run(
        [sys.executable, str(ROOT / "experiments" / f"{name}.py"), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert "usage:" in told.stdout
