import dataclasses
import json

import keras
import pytest

from experiments.comparison.configuration import UNDISTILLED
from experiments.distillation.configuration import Data, Student
from experiments.distillation.methods import METHODS
from experiments.table1 import PAIRS, Table1, main, pairs_of
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND
from tests.experiments.small_run import write_inputs


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The tiny form on a small student and a small tree."""
    if BACKEND != "tensorflow":
        pytest.skip("the whole of Table 1 is run once")
    root = tmp_path_factory.mktemp("table1")
    write_inputs(root, train=2, valid=1, test=1)
    return Table1(
        data=Data(root=root / "speech"),
        student=Student(str(root / "student"), freeze_feature_encoder=True),
        out=root / "comparison",
        tiny=True,
    )


@pytest.fixture(scope="module")
def results(settings):
    return main(settings)


def test_the_tiny_form_does_all_of_it(settings, results):
    folder = settings.folder
    assert results == json.loads((folder / "table1.json").read_text())
    assert list(results["encoders"]) == [UNDISTILLED, "log-mel", "text", "mean-l1", "pad-glob"]
    for name, encoder in results["encoders"].items():
        assert {"ic", "sf_f1", "sf_cer", "er", "ic_unseen"} <= encoder["table"].keys(), name
        assert encoder["shots"].keys() == {"2"}
    assert results["jobs"] == {"planned": 22, "done": 22}
    assert results["encoders"]["pad-glob"]["alignment"].keys() == {"recall_at_1", "recall_at_10"}
    pairs = {(one["name"], one["baseline"]) for one in results["differences"]}
    assert pairs == {
        ("pad-glob", "mean-l1"),
        ("pad-glob", UNDISTILLED),
        ("mean-l1", UNDISTILLED),
    }
    text = (folder / "table1.md").read_text()
    for words in ("### Table 1", "| chance |", "| pad-glob - mean-l1 |", "recall@10"):
        assert words in text
    for name in ("table1", "table1-shots", "table1-alignment"):
        width, height = keras.utils.load_img(folder / f"{name}.png").size
        assert width > height > 100
    assert not list((folder / "heads" / "hidden_states").glob("*-frames-*"))


def test_the_front_end_stays_and_the_rest_moves(settings, results):
    folder = settings.folder
    name = f"pad-glob-lr-{settings.learning_rates[0]:g}-seed-0-tiny"
    before, after = (
        Wav2Vec2Backbone.from_preset(str(path))
        for path in (settings.resolved().undistilled, folder / "distil" / name / "student")
    )
    same = [
        all((a == b).all() for a, b in zip(*weights, strict=True))
        for weights in (
            [model.feature_encoder.get_weights() for model in (before, after)],
            [model.get_weights() for model in (before, after)],
        )
    ]
    assert same == [True, False]


def test_the_same_command_does_nothing_again(settings, results):
    times = {p: p.stat().st_mtime_ns for p in settings.folder.glob("*/*/results.json")}
    assert len(times) == 22
    assert main(settings) == results
    assert {p: p.stat().st_mtime_ns for p in times} == times


def test_another_student_is_refused(settings, results):
    other = dataclasses.replace(
        settings, student=dataclasses.replace(settings.student, preset="mini")
    )
    # All is done with another student, which must not pass for this one.
    with pytest.raises(ValueError, match="holds a run with the student"):
        main(other)


@pytest.mark.parametrize("methods", [(), ("pad-glob", "pad-glob"), ("pad",)])
def test_methods_must_be_known(methods):
    with pytest.raises(ValueError, match="`methods` must be different ones of"):
        Table1(methods=methods)


def test_pad_is_paired_with_what_it_refines():
    assert {name for pair in PAIRS for name in pair} <= METHODS.keys()
    methods = Table1().methods
    refined = pairs_of(methods)[: -len(methods)]
    # Ablations and what goes beyond the paper are compared where they are asked for.
    others = {"pad-slocal-no-prior", "joint-centred", "joint-contrastive"}
    assert {name for pair in set(PAIRS) - set(refined) for name in pair} - set(methods) == others
    assert set(PAIRS) <= set(pairs_of([*methods, *others]))
    assert [variant.name for variant in Table1().variants()] == list(Table1().methods)
