import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.losses import (
    ContrastiveAlignment,
    ContrastiveSpanAlignment,
    SpanAlignment,
    functional,
)
from tests.backend import finite_differences, numpy_of
from tests.losses import reference
from tests.losses.batches import (
    SIZES,
    batch,
    compiled_and_eager,
    prior,
    reloaded,
    speech_gradient,
    utterances,
    value_of,
)
from tests.losses.loops import span_loops, weights_of

# The third utterance repeats the text of the first, spoken otherwise.
REPEATED = (0, 1, 0, 3, 4)


def pairs(dim=8, sizes=SIZES, seed=0):
    """Utterances, two of them with one text."""
    result = utterances(dim, sizes, seed)
    return [(speech, result[text][1]) for (speech, _), text in zip(result, REPEATED, strict=False)]


def global_scores(pairs, weighting="significance"):
    speech, text = (
        [reference.pooled(side["embeddings"], weights_of(side, weighting)) for side in sides]
        for sides in zip(*pairs, strict=True)
    )
    return [[reference.cosine(s, t) for t in text] for s in speech]


def span_scores(pairs, **arguments):
    """Each text with the spans that its speech has by its own text."""
    scores = []
    for speech, own_text in pairs:
        own_units = len(own_text["embeddings"])
        scores.append(
            [-span_loops(speech, text, **arguments, units=own_units) for _, text in pairs]
        )
    return scores


def loops(pairs, scores_of, temperature=0.05, symmetric=True, **arguments):
    scores = scores_of(pairs, **arguments)
    return reference.info_nce(scores, REPEATED[: len(pairs)], temperature, symmetric)


# (class, arguments, scores of speech with text).
CASES = {
    "global": (ContrastiveAlignment, {}, global_scores),
    "global, one way": (
        ContrastiveAlignment,
        {"symmetric": False, "temperature": 0.2, "weighting": "uniform"},
        global_scores,
    ),
    "span": (ContrastiveSpanAlignment, {}, span_scores),
    "span, one way": (
        ContrastiveSpanAlignment,
        {"symmetric": False, "temperature": 0.5, "weighting": "idf", "scales": (0.7,)},
        span_scores,
    ),
    "soft centred span": (
        ContrastiveSpanAlignment,
        {"softness": 0.1, "centre_units": True, "weighting": "uniform", "temperature": 0.1},
        span_scores,
    ),
}
cases = pytest.mark.parametrize("case", CASES)


@cases
def test_a_ragged_batch_equals_the_loops(case):
    loss_class, arguments, scores_of = CASES[case]
    wanted = loops(pairs(), scores_of, **arguments)
    assert wanted > 0.1
    assert value_of(loss_class(**arguments), pairs()) == pytest.approx(wanted, abs=1e-4)


@cases
def test_padding_of_any_kind_and_amount_changes_nothing(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    unpadded = value_of(loss, pairs(), extra=0)
    for garbage in (0.0, 1e4, np.nan):
        padded = value_of(loss, pairs(), extra=9, garbage=garbage)
        assert padded == pytest.approx(unpadded, abs=1e-4)


@cases
def test_gradient_equals_finite_differences_of_the_loops(case):
    loss_class, arguments, scores_of = CASES[case]
    arguments = {**arguments, "temperature": 0.5}
    given = pairs(dim=3, sizes=((6, 3), (6, 2), (6, 3)), seed=3)
    text_units, speech_units = batch(given, extra=0)
    loss = loss_class(**arguments)

    def slow(x):
        moved = [
            ({**speech, "embeddings": x[row]}, text) for row, (speech, text) in enumerate(given)
        ]
        return loops(moved, scores_of, **arguments)

    wanted = finite_differences(slow, speech_units["embeddings"], epsilon=1e-4)
    assert np.abs(wanted).max() > 1e-2
    np.testing.assert_allclose(speech_gradient(loss, text_units, speech_units), wanted, atol=5e-4)


@cases
def test_gradient_is_finite_and_zero_at_padding_that_holds_nan(case):
    loss_class, arguments, _ = CASES[case]
    text_units, speech_units = batch(pairs(), garbage=np.nan)
    loss = loss_class(**arguments)

    found = speech_gradient(loss, text_units, speech_units)
    assert np.isfinite(found).all()
    assert not found[~speech_units["mask"]].any()
    silent = np.zeros_like(speech_units["embeddings"])
    assert np.isfinite(speech_gradient(loss, text_units, speech_units, at=silent)).all()


@cases
def test_compiled_equals_eager(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    fast, eager = compiled_and_eager(loss, pairs())
    assert fast == pytest.approx(eager, abs=1e-4)


@cases
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_embeddings_give_a_finite_float32_loss(case, dtype):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    text_units, speech_units = batch(pairs())
    half = [
        {**units, "embeddings": ops.cast(units["embeddings"], dtype)}
        for units in (text_units, speech_units)
    ]
    value = loss.compute_loss(*half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = float(loss.compute_loss(text_units, speech_units))
    assert float(value) == pytest.approx(expected, rel=0.03, abs=0.03)


@cases
def test_a_loss_survives_serialisation(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments, name="part")
    again = reloaded(loss)
    assert type(again) is loss_class
    assert again.get_config() == loss.get_config()
    assert value_of(again, pairs()) == value_of(loss, pairs())


@cases
def test_without_negatives_there_is_nothing_to_learn(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    same_text = [pairs()[0], pairs()[2]]
    for given in (pairs()[:1], same_text):
        text_units, speech_units = batch(given)
        assert value_of(loss, given) == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(speech_gradient(loss, text_units, speech_units), 0, atol=1e-6)


@pytest.mark.parametrize("loss_class", [ContrastiveAlignment, ContrastiveSpanAlignment])
def test_speech_that_holds_its_text_beats_shuffled_speech(loss_class):
    rng = np.random.default_rng(5)
    texts = [rng.normal(size=(4, 8)) for _ in range(3)]
    weights = prior(rng, 4)

    def spoken(order):
        # Three frames a token, as a perfect student would embed them.
        sides = []
        for row, text in zip(order, texts, strict=True):
            units = {
                "embeddings": texts[row].repeat(3, axis=0),
                "significance": np.full(12, 1 / 12),
            }
            sides.append((units, {"embeddings": text, "significance": weights}))
        return sides

    loss = loss_class(temperature=0.1)
    assert value_of(loss, spoken([0, 1, 2])) < 0.7
    assert value_of(loss, spoken([1, 2, 0])) > 2


def test_late_interaction_of_own_pairs_is_the_span_alignment():
    text_units, speech_units = batch(pairs())
    loss = SpanAlignment()
    spans = loss.spans(text_units, speech_units)
    scores = functional.late_interaction(
        spans["embeddings"],
        spans["mask"],
        text_units["embeddings"],
        loss.unit_weights(text_units),
    )
    found = -np.diag(numpy_of(scores)).mean()
    assert found == pytest.approx(float(loss.compute_loss(text_units, speech_units)), abs=1e-5)


def test_texts_are_the_same_up_to_rounding_only():
    rng = np.random.default_rng(7)
    text = rng.normal(size=(4, 384))
    text[1] = text[0] + 1e-3 * rng.normal(size=384)
    text[2] = 3 * text[0]
    text[3] = text[0] + 0.1 * rng.normal(size=384)
    same = numpy_of(functional.same_texts(text.astype("float32")))
    assert same[0].tolist() == [True, True, True, False]
    np.testing.assert_array_equal(same, same.T)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ContrastiveAlignment(temperature=0), "temperature.*0"),
        (lambda: ContrastiveAlignment(weighting="idf"), "weighting.*idf"),
        (lambda: ContrastiveSpanAlignment(temperature=-1.0), "temperature.*-1"),
        (lambda: ContrastiveSpanAlignment(softness=-1.0), "softness.*-1"),
        (lambda: ContrastiveSpanAlignment(scales=()), "scales"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
