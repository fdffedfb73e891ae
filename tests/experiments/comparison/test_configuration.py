import dataclasses

import numpy as np
import pytest

from experiments.comparison.configuration import Heads, Variant
from experiments.comparison.grid import Grid
from experiments.comparison.jobs import Distillation
from experiments.distillation.configuration import Data
from experiments.distillation.methods import METHODS
from experiments.results import decisive, plain
from tests.experiments.comparison.conftest import Two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": ()}, "`seeds` must be different values, at least one, got"),
        ({"seeds": (1, 1)}, "`seeds` must be different values"),
        ({"learning_rates": (1e-4, -1.0)}, "`learning_rates` must be positive and finite, got"),
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


def test_buckets_and_pictures_reach_each_distillation(comparison):
    changed = dataclasses.replace(comparison, buckets=3, pictures=0)
    found = changed.distillation(changed.variants()[0], 1e-3, 1)
    assert (found.training.buckets, found.pictures) == (3, 0)
    # What is done counts as done whatever they are.
    usual = comparison.distillation(comparison.variants()[0], 1e-3, 1)
    assert decisive(plain(found), found.FREE) == decisive(plain(usual), usual.FREE)


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


def test_jobs_know_their_student(comparison):
    grid = Grid(comparison)
    encoder = grid.distilled("pad-glob", 1e-3, 2)
    job = grid.distillation("pad-glob", 1e-3, 2)
    assert isinstance(job, Distillation)
    assert encoder.source == str(job.student)
    assert grid.heads_of(encoder, "ic", 2).folder.name == "ic-pad-glob-lr-0.001-seed-2-2-shot"
    assert np.all([s.settings.encoder == encoder.source for s in grid.heads(encoder)])
