import dataclasses
import json

import pytest
import tyro

from experiments.ablations import GROUPS, Ablations, main
from experiments.distillation.configuration import Data, Student
from experiments.distillation.methods import METHODS
from experiments.table1 import Table1
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND
from tests.experiments.small_run import write_inputs

ALL = Ablations(bases=("pad-slocal", "pad-glob", "joint"))


@pytest.mark.parametrize("variant", ALL.variants(), ids=lambda variant: variant.name)
def test_an_ablation_changes_something_and_builds(variant):
    assert variant.objective.build()
    (base,) = (METHODS[name][1] for name in ALL.bases if variant.name.startswith(name))
    changed = variant.objective != base or variant.teacher or variant.student
    is_base = variant.name in ALL.bases
    assert bool(changed or variant.hours_share != 1) != is_base
    configuration = dataclasses.replace(ALL, tiny=True).distillation(
        dataclasses.replace(variant, hours_share=1.0), 1e-3, 0
    )
    assert configuration.objective == variant.objective


def test_ablations_have_names_of_their_own():
    names = [variant.name for variant in ALL.variants()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["pad-slocal-no-prior", "pad-slocal-one-scale", "pad-slocal-even"])
def test_an_ablation_is_what_the_method_of_its_name_is(name):
    (variant,) = (one for one in ALL.variants() if one.name == name)
    assert variant.objective == METHODS[name][1]


def test_pad_glob_has_no_ablations_of_spans():
    names = [variant.name for variant in Ablations(bases=("pad-glob",)).variants()]
    assert "pad-glob-no-prior" in names
    assert not any("anchors" in name or "scale" in name for name in names)


def test_the_priors_of_speech_and_text_go_one_by_one_where_both_pool():
    found = {variant.name: variant.objective for variant in ALL.variants()}
    objective = found["pad-glob-no-speech-prior"]
    assert (objective.weighting, objective.speech_weighting) == ("significance", "uniform")
    objective = found["pad-glob-no-text-prior"]
    assert (objective.weighting, objective.speech_weighting) == ("uniform", "significance")
    assert not any(name.startswith("pad-slocal-no-text") for name in found)


def test_joint_alone_has_a_balance():
    weights = {v.name: v.objective.weights for v in ALL.variants() if "-global-" in v.name}
    assert weights == {"joint-global-0.001": (0.001, 1.0), "joint-global-0.1": (0.1, 1.0)}


def test_distillations_are_shared_with_table1():
    (ours,) = (one for one in Ablations().variants() if one.name == "pad-slocal")
    (theirs,) = (one for one in Table1().variants() if one.name == "pad-slocal")
    assert Ablations().distillation(ours, 1e-3, 0) == Table1().distillation(theirs, 1e-3, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ()}, "`groups` must be different ones of"),
        ({"groups": ("spans",)}, r"`groups` .* got \('spans',\)"),
        ({"bases": ("mean-l1",)}, r"`bases` must be different ones of .* got \('mean-l1',\)"),
        ({"changes": ("words",), "groups": ("radius",)}, r"`changes` has .*words.*; .* 'radius-4'"),
        ({"changes": ("idf",), "bases": ("pad-glob",)}, r"`changes` has .*idf.*; .*'no-prior'"),
    ],
)
def test_arguments_that_mislead_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ablations(**arguments)


def test_some_changes_of_a_group_are_made_alone():
    chosen = Ablations(groups=("prior", "hours"), changes=("even", "half-hours"))
    names = [variant.name for variant in chosen.variants()]
    assert names == ["pad-slocal", "pad-slocal-even", "pad-slocal-half-hours"]
    tiny = Ablations(changes=("half-hours", "no-text-prior"), bases=ALL.bases, tiny=True)
    names = [variant.name for variant in tiny.resolved().variants()]
    assert names == ["pad-slocal", "pad-slocal-half-hours"]


def test_the_command_line_knows_the_groups():
    read = tyro.cli(Ablations, args=["--groups", "anchors", "hours", "--seeds", "0"])
    assert (read.groups, read.seeds) == (("anchors", "hours"), (0,))
    assert set(GROUPS) == set(Ablations().groups)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The tiny form on a small student and a small tree."""
    if BACKEND != "tensorflow":
        pytest.skip("ablations are run once")
    root = tmp_path_factory.mktemp("ablations")
    write_inputs(root, train=2, valid=1, test=1)
    return Ablations(
        groups=("student-layers", "hours", "units"),
        data=Data(root=root / "speech"),
        student=Student(str(root / "student"), freeze_feature_encoder=True),
        tasks=("ic",),
        shots=(),
        references=(),
        out=root / "comparison",
        tiny=True,
    )


def test_the_tiny_form_does_two_groups(settings, capsys):
    results = main(settings)
    folder = settings.folder
    assert results == json.loads((folder / "ablations.json").read_text())
    names = ["undistilled", "pad-slocal", "pad-slocal-first-layer", "pad-slocal-half-hours"]
    assert list(results["encoders"]) == names
    compared = {(one["name"], one["baseline"]) for one in results["differences"]}
    assert compared == {(name, "pad-slocal") for name in names[2:]}
    text = (folder / "ablations.md").read_text()
    assert "### Ablation: student's layers whose attention makes the prior (all)" in text
    assert "### Ablation: hours of speech (all), as many updates" in text
    # A table is of its group alone.
    assert "half-hours" not in text.split("### Ablation: hours")[0]
    assert (folder / "ablations-hours.png").is_file()
    kept = folder / "distil" / "pad-slocal-first-layer-lr-0.0005-seed-0-tiny" / "student"
    assert Wav2Vec2Backbone.from_preset(str(kept)).significance_layers == [0]
    times = {p: p.stat().st_mtime_ns for p in folder.glob("*/*/results.json")}
    capsys.readouterr()
    main(settings)
    assert "sets of heads: 4, of which 4 are done" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in times} == times
