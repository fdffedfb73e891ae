import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.losses import (
    GlobalAlignment,
    SequenceAlignment,
    SpanAlignment,
    TokenAlignment,
    functional,
)
from tests.backend import finite_differences, numpy_of
from tests.losses import reference
from tests.losses.batches import (
    batch,
    compiled_and_eager,
    reloaded,
    speech_gradient,
    utterances,
    value_of,
)
from tests.losses.loops import (
    global_loops,
    sequence_loops,
    span_loops,
    token_loops,
    weights_of,
)

# Every loss, baseline and ablation of the paper, and variants: (class, arguments, loops).
CASES = {
    "PAD-Glob": (GlobalAlignment, {}, global_loops),
    "mean-pooled L1": (GlobalAlignment, {"weighting": "uniform"}, global_loops),
    "mean-pooled L2": (GlobalAlignment, {"weighting": "uniform", "distance": "l2"}, global_loops),
    "sentence cosine": (
        GlobalAlignment,
        {"weighting": "uniform", "distance": "cosine"},
        global_loops,
    ),
    "prior of text alone": (GlobalAlignment, {"speech_weighting": "uniform"}, global_loops),
    "prior of speech alone": (
        GlobalAlignment,
        {"weighting": "uniform", "speech_weighting": "significance"},
        global_loops,
    ),
    "idf of text": (GlobalAlignment, {"weighting": "idf"}, global_loops),
    "PAD-TLocal": (TokenAlignment, {}, token_loops),
    "token cosine": (TokenAlignment, {"weighting": "uniform"}, token_loops),
    "SPLAT-Tok": (TokenAlignment, {"weighting": "idf"}, token_loops),
    "SPLAT-Seq": (SequenceAlignment, {}, sequence_loops),
    "PAD-SLocal": (SpanAlignment, {}, span_loops),
    "without ASP": (SpanAlignment, {"weighting": "uniform"}, span_loops),
    "one scale": (SpanAlignment, {"scales": (1.0,)}, span_loops),
    "even stride": (SpanAlignment, {"anchor_selection": "even"}, span_loops),
    "weighted pool": (SpanAlignment, {"pooling": "significance"}, span_loops),
    "other sizes": (
        SpanAlignment,
        {"anchors_per_unit": 0.7, "radius": 1, "scales": (0.3, 1.7), "weighting": "idf"},
        span_loops,
    ),
    "soft token": (TokenAlignment, {"softness": 0.1}, token_loops),
    "soft span": (SpanAlignment, {"softness": 0.05}, span_loops),
    "centred token": (TokenAlignment, {"centre_units": True}, token_loops),
    "centred span": (SpanAlignment, {"centre_units": True, "pooling": "significance"}, span_loops),
    "soft centred span": (SpanAlignment, {"softness": 1.0, "centre_units": True}, span_loops),
}
cases = pytest.mark.parametrize("case", CASES)


@cases
def test_a_ragged_batch_equals_the_mean_of_the_loops(case):
    loss_class, arguments, loops = CASES[case]
    wanted = np.mean([loops(speech, text, **arguments) for speech, text in utterances()])
    assert value_of(loss_class(**arguments), utterances()) == pytest.approx(wanted, abs=1e-5)


@cases
def test_padding_of_any_kind_and_amount_changes_nothing(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    alone = np.mean([value_of(loss, [utterance], extra=0) for utterance in utterances()])
    for garbage in (0.0, 1e4, np.nan):
        padded = value_of(loss, utterances(), extra=9, garbage=garbage)
        assert padded == pytest.approx(alone, abs=1e-5)


@cases
def test_gradient_equals_finite_differences_of_the_loops(case):
    loss_class, arguments, loops = CASES[case]
    pair = utterances(dim=3, sizes=((6, 3),), seed=3)
    text_units, speech_units = batch(pair, extra=0)
    loss = loss_class(**arguments)

    def slow(x):
        return loops({**pair[0][0], "embeddings": x[0]}, pair[0][1], **arguments)

    found = speech_gradient(loss, text_units, speech_units)
    wanted = finite_differences(slow, pair[0][0]["embeddings"][None], epsilon=1e-4)
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(found, wanted, atol=2e-4)


@cases
def test_gradient_is_finite_and_zero_at_padding_that_holds_nan(case):
    loss_class, arguments, _ = CASES[case]
    text_units, speech_units = batch(utterances(), garbage=np.nan)
    loss = loss_class(**arguments)

    found = speech_gradient(loss, text_units, speech_units)
    assert np.isfinite(found).all()
    assert not found[~speech_units["mask"]].any()


@cases
def test_compiled_equals_eager(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    fast, eager = compiled_and_eager(loss, utterances())
    assert fast == pytest.approx(eager, abs=1e-5)


@cases
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_embeddings_give_a_finite_float32_loss(case, dtype):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments)
    text_units, speech_units = batch(utterances())
    half = {**speech_units, "embeddings": ops.cast(speech_units["embeddings"], dtype)}
    value = loss.compute_loss(text_units, half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = float(loss.compute_loss(text_units, speech_units))
    assert float(value) == pytest.approx(expected, rel=0.02, abs=0.02)


@cases
def test_a_loss_survives_serialisation(case):
    loss_class, arguments, _ = CASES[case]
    loss = loss_class(**arguments, name="part")
    again = reloaded(loss)
    assert type(again) is loss_class
    assert again.get_config() == loss.get_config()
    assert value_of(again, utterances()) == value_of(loss, utterances())


def test_no_gradient_flows_through_the_prior_unless_asked():
    text_units, speech_units = batch(utterances())

    def slope(loss):
        return speech_gradient(loss, text_units, speech_units, key="significance")

    assert not slope(GlobalAlignment()).any()
    assert slope(GlobalAlignment(stop_significance_gradient=False)).any()


def test_constant_significance_is_the_absence_of_a_prior():
    constant = [
        (
            {**speech, "significance": weights_of(speech, "uniform")},
            {**text, "significance": weights_of(text, "uniform")},
        )
        for speech, text in utterances()
    ]
    for loss_class in (GlobalAlignment, TokenAlignment):
        with_prior = value_of(loss_class(), constant)
        without = value_of(loss_class(weighting="uniform"), constant)
        assert with_prior == pytest.approx(without, abs=1e-6)


def test_spans_tell_what_was_looked_at():
    text_units, speech_units = batch(utterances())
    spans = numpy_of(SpanAlignment().spans(text_units, speech_units))
    assert spans["starts"].shape == spans["ends"].shape == spans["mask"].shape
    np.testing.assert_array_equal(spans["mask"], spans["ends"] > spans["starts"])
    frame_counts = speech_units["mask"].sum(-1)[:, None]
    assert (spans["ends"] <= frame_counts).all()
    # Three scales an anchor.
    np.testing.assert_array_equal(spans["mask"].sum(-1), 3 * (spans["anchors"] >= 0).sum(-1))


def test_a_soft_maximum_tends_to_the_maximum_and_to_the_mean():
    similarity = np.array([[[0.1], [0.9], [-0.3], [5.0]]], "float32")
    mask = [[True, True, True, False]]
    found = [
        float(numpy_of(functional.maximum_similarity(similarity, mask, softness))[0, 0])
        for softness in (0.0, 1e-4, 0.1, 1e4)
    ]
    assert found[0] == found[1] == pytest.approx(0.9)
    assert found[2] == pytest.approx(reference.maximum([0.1, 0.9, -0.3], 0.1), abs=1e-6)
    assert found[3] == pytest.approx(0.7 / 3, abs=1e-4)


@pytest.mark.parametrize("softness", [0.0, 0.1])
def test_text_without_speech_has_the_least_similarity(softness):
    found = functional.maximum_similarity(np.ones((1, 2, 3), "float32"), [[0, 0]], softness)
    assert numpy_of(found).tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("loss_class", [TokenAlignment, SpanAlignment])
def test_centred_units_do_not_see_what_an_utterance_shares(loss_class):
    text_units, speech_units = batch(utterances())
    moved = {**speech_units, "embeddings": speech_units["embeddings"] + 7.0}
    for centre_units, is_same in ((True, True), (False, False)):
        loss = loss_class(centre_units=centre_units)
        one, other = (float(loss.compute_loss(text_units, u)) for u in (speech_units, moved))
        assert (one == pytest.approx(other, abs=1e-4)) is is_same


@pytest.mark.parametrize(
    "loss", [TokenAlignment(), TokenAlignment(softness=0.1, centre_units=True)]
)
def test_zero_embeddings_give_a_finite_gradient(loss):
    text_units, speech_units = batch(utterances())
    silent = np.array(speech_units["embeddings"])
    silent[0, 2] = 0.0
    found = speech_gradient(loss, text_units, speech_units, at=silent)
    # One silent frame must not take a clipped gradient away from all others.
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10
    nothing = np.zeros_like(silent)
    assert np.isfinite(speech_gradient(loss, text_units, speech_units, at=nothing)).all()


def test_all_losses_take_a_weighting():
    text_units, speech_units = batch(utterances())
    kinds = SequenceAlignment(weighting="idf"), SequenceAlignment()
    one, other = (float(loss.compute_loss(text_units, speech_units)) for loss in kinds)
    assert one == other
    with pytest.raises(ValueError, match="`weighting` of SequenceAlignment.*'odd'"):
        SequenceAlignment(weighting="odd")


def test_an_utterance_without_a_frame_gives_no_sequence_gradient():
    text_units, speech_units = batch(utterances(), garbage=np.nan)
    speech_units["mask"][1] = False
    speech_units["embeddings"][1] = np.nan
    assert np.isfinite(float(SequenceAlignment().compute_loss(text_units, speech_units)))
    found = speech_gradient(SequenceAlignment(), text_units, speech_units)
    assert np.isfinite(found).all()
    assert not found[1].any()


def test_nan_in_padding_reaches_no_gradient_of_weighted_spans():
    text_units, speech_units = batch(utterances(), garbage=np.nan)
    loss = SpanAlignment(pooling="significance", stop_significance_gradient=False)
    for key in ("embeddings", "significance"):
        found = speech_gradient(loss, text_units, speech_units, key=key)
        assert np.isfinite(found).all()
        assert not found[~speech_units["mask"]].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GlobalAlignment(distance="l3"), "distance.*l3"),
        (lambda: GlobalAlignment(weighting="asp"), "weighting.*asp"),
        (lambda: GlobalAlignment(speech_weighting="idf"), "speech_weighting.*idf"),
        (lambda: TokenAlignment(weighting="asp"), "weighting.*asp"),
        (lambda: TokenAlignment(softness=-0.1), "softness.*-0.1"),
        (lambda: SpanAlignment(softness=-0.1), "softness.*-0.1"),
        (lambda: SpanAlignment(scales=()), "scales"),
        (lambda: SpanAlignment(scales=(1, -1)), "scales"),
        (lambda: SpanAlignment(scales=(float("nan"),)), "scales"),
        (lambda: SpanAlignment(anchors_per_unit=0), "anchors_per_unit"),
        (lambda: SpanAlignment(anchors_per_unit=float("nan")), "anchors_per_unit"),
        (lambda: SpanAlignment(radius=-1), "radius"),
        (lambda: SpanAlignment(anchor_selection="odd"), "anchor_selection.*odd"),
        (lambda: SpanAlignment(pooling="max"), "pooling.*max"),
    ],
)
def test_an_unknown_option_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_units_that_do_not_fit_are_refused_by_name():
    text_units, speech_units = batch(utterances())
    without_mask = {k: v for k, v in speech_units.items() if k != "mask"}
    with pytest.raises(ValueError, match="student's units lack.*mask"):
        TokenAlignment().validate_outputs(text_units, without_mask)
    narrow = {**speech_units, "embeddings": speech_units["embeddings"][..., :5]}
    with pytest.raises(ValueError, match="8 wide and the student's 5"):
        TokenAlignment().validate_outputs(text_units, narrow)
    without_idf = {k: v for k, v in text_units.items() if k != "idf"}
    with pytest.raises(ValueError, match="adapt_idf"):
        TokenAlignment(weighting="idf").compute_loss(without_idf, speech_units)
    without_cls = {k: v for k, v in text_units.items() if k != "cls"}
    with pytest.raises(ValueError, match="'cls'"):
        SequenceAlignment().compute_loss(without_cls, speech_units)
