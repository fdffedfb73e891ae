import dataclasses
import json

import pytest

from experiments.comparison.grid import Grid
from experiments.comparison.outcome import compare
from experiments.comparison.report import markdown, tables
from experiments.comparison.run import run_grid
from experiments.comparison.summary import summarise


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


def test_few_labels_and_retrieval_are_compared_too(comparison, done, capsys):
    pairs = [("pad-glob", "mean-l1"), ("mean-l1", "undistilled")]
    summary = compare(comparison, "two", pairs, {"two": ("Two", None)})
    found = {(one["name"], one["column"]): one for one in summary["differences"]}
    for column in ("ic", "ic_2_shot", "recall_at_1"):
        assert found["pad-glob", column]["mean"] == pytest.approx(0.2)
        assert found["pad-glob", column]["n"] == 3
    # What is not distilled has no retrieval.
    assert ("mean-l1", "ic_2_shot") in found
    assert ("mean-l1", "recall_at_1") not in found
    table = summary["encoders"]["pad-glob"]
    assert table["gap_closed"]["ic_2_shot"]["mean"] == pytest.approx(0.3 / 0.5)
    assert table["shots"] == {"2": table["table"]["ic_2_shot"]}
    text = (comparison.folder / "two.md").read_text()
    assert "| difference | IC, 2 of each | recall@1 | recall@10 | pairs |" in text
    assert "| encoder | IC accuracy | SF F1 | IC, 2 of each |" in text
    assert "Paired differences: wordings, few labels, retrieval" in capsys.readouterr().out


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
