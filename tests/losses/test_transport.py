import keras
import numpy as np
import pytest
import scipy.optimize
from keras import ops

from pad_keras.losses import OptimalTransportAlignment, functional
from tests.backend import finite_differences, numpy_of
from tests.losses import reference
from tests.losses.batches import (
    batch,
    compiled_and_eager,
    prior,
    reloaded,
    speech_gradient,
    utterances,
    value_of,
)
from tests.losses.loops import local_units, weights_of

CASES = {
    "prior": {},
    "uniform": {"weighting": "uniform", "epsilon": 0.2},
    "few iterations": {"iterations": 2, "epsilon": 0.1},
    "centred": {"centre_units": True},
}
cases = pytest.mark.parametrize("case", CASES)


def plan_and_cost(speech, text, weighting="significance", epsilon=0.05, iterations=20, **options):
    centre = options.get("centre_units", False)
    frames, tokens = (local_units(units, centre)["embeddings"] for units in (speech, text))
    cost = np.array([[1 - reference.cosine(s, t) for t in tokens] for s in frames])
    weights = (weights_of(units, weighting) for units in (speech, text))
    return reference.transport_plan(cost, *weights, epsilon, iterations), cost


def loops(speech, text, **arguments):
    plan, cost = plan_and_cost(speech, text, **arguments)
    return (plan * cost).sum()


@cases
def test_a_ragged_batch_equals_the_mean_of_the_loops(case):
    arguments = CASES[case]
    wanted = np.mean([loops(speech, text, **arguments) for speech, text in utterances()])
    found = value_of(OptimalTransportAlignment(**arguments), utterances())
    assert found == pytest.approx(wanted, abs=1e-5)


@cases
def test_padding_of_any_kind_and_amount_changes_nothing(case):
    loss = OptimalTransportAlignment(**CASES[case])
    alone = np.mean([value_of(loss, [utterance], extra=0) for utterance in utterances()])
    for garbage in (0.0, 1e4, np.nan):
        padded = value_of(loss, utterances(), extra=9, garbage=garbage)
        assert padded == pytest.approx(alone, abs=1e-5)


@cases
def test_the_plan_gives_text_units_their_weight_and_padding_nothing(case):
    loss = OptimalTransportAlignment(**CASES[case])
    text_units, speech_units = batch(utterances())
    plan = numpy_of(loss.plan(text_units, speech_units))
    assert plan.min() >= 0
    wanted = numpy_of(loss.unit_weights(text_units))
    np.testing.assert_allclose(plan.sum(1), wanted, atol=1e-5)
    assert not plan[~speech_units["mask"]].any()
    assert not plan.swapaxes(1, 2)[~text_units["mask"]].any()


def test_the_plan_leaves_frames_no_more_than_their_weight_in_the_limit():
    loss = OptimalTransportAlignment(epsilon=0.2, iterations=300)
    text_units, speech_units = batch(utterances())
    plan = numpy_of(loss.plan(text_units, speech_units))
    np.testing.assert_allclose(plan.sum(2), speech_units["significance"], atol=1e-4)


def test_little_entropy_gives_the_exact_transport():
    rng = np.random.default_rng(4)
    cost, sources, targets = rng.random((5, 4)), prior(rng, 5), prior(rng, 4)
    leaves = np.kron(np.eye(5), np.ones(4))
    arrives = np.kron(np.ones(5), np.eye(4))
    exact = scipy.optimize.linprog(
        cost.ravel(),
        A_eq=np.concatenate([leaves, arrives]),
        b_eq=np.concatenate([sources, targets]),
    ).fun
    mask = np.ones((1, 5), bool)
    plan = functional.sinkhorn_plan(
        cost[None], sources[None], targets[None], mask, mask[:, :4], epsilon=5e-3, iterations=2000
    )
    found = float(functional.transport_loss(plan, cost[None]))
    assert found == pytest.approx(exact, abs=2e-3)


@cases
def test_gradient_is_that_of_the_cost_under_a_constant_plan(case):
    arguments = CASES[case]
    pair = utterances(dim=3, sizes=((6, 3),), seed=3)
    ((speech, text),) = pair
    text_units, speech_units = batch(pair, extra=0)
    loss = OptimalTransportAlignment(**arguments)
    plan, _ = plan_and_cost(speech, text, **arguments)

    def slow(x):
        moved = {**speech, "embeddings": x[0]}
        return (plan * plan_and_cost(moved, text, **arguments)[1]).sum()

    wanted = finite_differences(slow, speech["embeddings"][None], epsilon=1e-4)
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(speech_gradient(loss, text_units, speech_units), wanted, atol=2e-4)


def test_the_constant_plan_is_the_gradient_of_the_entropic_objective():
    rng = np.random.default_rng(6)
    cost, sources, targets = rng.random((4, 3)), prior(rng, 4), prior(rng, 3)

    def objective(cost):
        plan = reference.transport_plan(cost, sources, targets, 0.3, 200)
        return (plan * cost).sum() + 0.3 * (plan * (np.log(plan) - 1)).sum()

    mask = np.ones((1, 4), bool)
    plan = functional.sinkhorn_plan(
        cost[None], sources[None], targets[None], mask, mask[:, :3], epsilon=0.3, iterations=200
    )
    np.testing.assert_allclose(numpy_of(plan)[0], finite_differences(objective, cost), atol=1e-5)


@cases
def test_gradient_is_finite_and_zero_at_padding_that_holds_nan(case):
    loss = OptimalTransportAlignment(**CASES[case])
    text_units, speech_units = batch(utterances(), garbage=np.nan)

    found = speech_gradient(loss, text_units, speech_units)
    assert np.isfinite(found).all()
    assert not found[~speech_units["mask"]].any()
    silent = np.zeros_like(speech_units["embeddings"])
    assert np.isfinite(speech_gradient(loss, text_units, speech_units, at=silent)).all()


def test_units_without_mass_and_empty_utterances_are_left_out():
    text_units, speech_units = batch(utterances())
    text_units["significance"][0, 2] = 0
    speech_units["significance"][0, 3] = 0
    speech_units["mask"][1] = False
    loss = OptimalTransportAlignment()
    plan = numpy_of(loss.plan(text_units, speech_units))
    assert np.isfinite(plan).all()
    assert not plan[0, :, 2].any()
    assert not plan[0, 3].any()
    assert not plan[1].any()
    assert np.isfinite(float(loss.compute_loss(text_units, speech_units)))


def test_one_frame_cannot_serve_all_tokens():
    # All frames are silence but one that lies between the tokens.
    text = {"embeddings": np.eye(2), "significance": np.full(2, 0.5)}
    served = {"embeddings": np.eye(2).repeat(2, axis=0), "significance": np.full(4, 0.25)}
    one = np.array([[1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]])
    loss = OptimalTransportAlignment()
    assert value_of(loss, [(served, text)]) < 0.01
    assert value_of(loss, [({**served, "embeddings": one}, text)]) > 1


@cases
def test_compiled_equals_eager(case):
    loss = OptimalTransportAlignment(**CASES[case])
    fast, eager = compiled_and_eager(loss, utterances())
    assert fast == pytest.approx(eager, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_embeddings_give_a_finite_float32_loss(dtype):
    loss = OptimalTransportAlignment()
    text_units, speech_units = batch(utterances())
    half = {**speech_units, "embeddings": ops.cast(speech_units["embeddings"], dtype)}
    value = loss.compute_loss(text_units, half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = float(loss.compute_loss(text_units, speech_units))
    assert float(value) == pytest.approx(expected, rel=0.02, abs=0.02)


@cases
def test_a_loss_survives_serialisation(case):
    loss = OptimalTransportAlignment(**CASES[case], name="part")
    again = reloaded(loss)
    assert again.get_config() == loss.get_config()
    assert value_of(again, utterances()) == value_of(loss, utterances())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0}, "epsilon.*0"),
        ({"iterations": 0}, "iterations.*0"),
        ({"weighting": "idf"}, "weighting.*idf"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        OptimalTransportAlignment(**arguments)
