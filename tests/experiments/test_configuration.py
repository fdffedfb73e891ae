import dataclasses
import json

import pytest
import tyro

from experiments.distill import configurations
from experiments.distillation.configuration import Configuration, Objective, Training
from experiments.distillation.methods import METHODS
from experiments.pretraining.configuration import Pretraining
from experiments.results import decisive, plain, write_json
from experiments.understanding.configuration import Understanding

# What each method refines, and the fields in which alone it may differ from that.
REFINES = {
    "pad-glob": ("mean-l1", {"weighting"}),
    "mean-l2": ("mean-l1", {"distance"}),
    "sentence-cosine": ("mean-l1", {"distance"}),
    "pad-tlocal": ("token-cosine", {"weighting"}),
    "splat-tok": ("token-cosine", {"weighting"}),
    "pad-slocal": ("pad-slocal-no-prior", {"weighting"}),
    "pad-slocal-one-scale": ("pad-slocal", {"scales"}),
    "pad-slocal-even": ("pad-slocal", {"anchor_selection"}),
    "joint": ("pad-slocal", {"losses", "weights"}),
    "contrastive": ("pad-glob", {"losses"}),
    "contrastive-span": ("pad-slocal", {"losses"}),
    "pad-slocal-soft": ("pad-slocal", {"softness"}),
    "pad-slocal-centred": ("pad-slocal", {"centre_units"}),
    "joint-centred": ("joint", {"centre_units"}),
    "joint-contrastive": ("pad-slocal", {"losses", "weights"}),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_builds_its_losses(name):
    built = METHODS[name][1].build()
    assert len(built) == len(METHODS[name][1].weights)
    assert all(loss.get_config() for loss in built)


@pytest.mark.parametrize("name", REFINES)
def test_a_method_changes_one_thing(name):
    other, fields = REFINES[name]
    first, second = (dataclasses.asdict(METHODS[key][1]) for key in (name, other))
    assert {field for field in first if first[field] != second[field]} == fields


def test_objectives_must_fit_together():
    with pytest.raises(ValueError, match="each loss once"):
        Objective(("span", "span"), (1.0, 1.0))
    with pytest.raises(ValueError, match="do not fit `losses`"):
        Objective(("span",), (1.0, 2.0))


def test_the_command_line_reaches_every_field():
    arguments = ["mean-l1", "--data.hours", "10", "--training.seed", "3", "--tiny"]
    read = tyro.extras.overridable_config_cli(configurations(), args=arguments)
    assert read.objective == METHODS["mean-l1"][1]
    assert (read.data.hours, read.training.seed, read.folder.name) == (10.0, 3, "mean-l1-tiny")


def test_help_explains_each_field(capsys):
    with pytest.raises(SystemExit):
        tyro.extras.overridable_config_cli(configurations(), args=["pad-slocal", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("Anchor frames per text unit", "Hours to distil on", "Greatest global norm"):
        assert words in shown


def test_a_configuration_is_json():
    data = json.loads(json.dumps(plain(Configuration())))["data"]
    assert data["train"] == ["train"]
    assert data["root"] == "experiments/corpora/alignment"


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a" / "results.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert json.loads(path.read_text()) == {"x": 1}


@pytest.mark.parametrize(
    "configuration",
    [Configuration(), Understanding("ic"), Pretraining()],
    ids=["distill", "slu", "pretrain"],
)
def test_what_changes_no_number_are_fields(configuration):
    names = decisive(plain(configuration), free=())
    assert set(configuration.FREE) < names.keys()
    left = decisive(plain(configuration), configuration.FREE)
    assert left.keys() == names.keys() - set(configuration.FREE)
    assert not {"seed", "seeds", "training.seed"} & set(configuration.FREE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"buckets": 0}, "`buckets` must be at least 1, got 0"),
        ({"accumulation": 0}, "`accumulation` must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be positive and finite, got nan"),
    ],
)
def test_numbers_that_train_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Training(**arguments)
