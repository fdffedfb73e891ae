import numpy as np
import pytest

from pad_keras.losses import functional
from tests.backend import compiled, numpy_of
from tests.losses import reference

PADDING = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]], bool)
UNITS = np.array([[0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], bool)


def attention(layers=3, heads=2, padding=PADDING, seed=0):
    """Attention probabilities [L, B, H, Q, K] that put nothing on padded keys."""
    batch, length = padding.shape
    logits = np.random.default_rng(seed).normal(size=(layers, batch, heads, length, length))
    scores = np.exp(logits) * padding[None, :, None, None, :]
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


def expected(scores, padding, units):
    rows = range(len(padding))
    return np.stack(
        [reference.significance_prior(scores[:, b], padding[b], units[b]) for b in rows]
    )


def test_prior_equals_the_loops():
    scores = attention()
    prior = numpy_of(functional.significance_prior(scores, PADDING))
    np.testing.assert_allclose(prior, expected(scores, PADDING, PADDING), atol=1e-6)


def test_special_tokens_lose_their_mass_but_still_attend():
    scores = attention()
    prior = numpy_of(functional.significance_prior(list(scores), PADDING, unit_mask=UNITS))
    np.testing.assert_allclose(prior, expected(scores, PADDING, UNITS), atol=1e-6)
    assert np.all(prior[~UNITS] == 0)
    np.testing.assert_allclose(prior.sum(-1), 1, atol=1e-6)


def test_rows_of_padded_queries_have_no_influence_even_as_nan():
    scores = attention()
    poisoned = scores.copy()
    poisoned[:, 1, :, 4:, :] = np.nan
    prior = numpy_of(functional.significance_prior(poisoned, PADDING))
    np.testing.assert_array_equal(prior, numpy_of(functional.significance_prior(scores, PADDING)))


def test_list_stack_and_single_map_agree():
    scores = attention(layers=1)
    stacked = numpy_of(functional.significance_prior(scores, PADDING))
    for form in ([scores[0]], (scores[0],), scores[0]):
        other = numpy_of(functional.significance_prior(form, PADDING))
        np.testing.assert_allclose(other, stacked, atol=1e-7)


def test_half_precision_maps_give_a_float32_prior():
    scores = attention()
    prior = functional.significance_prior(list(scores.astype("float16")), PADDING)
    assert numpy_of(prior).dtype == np.float32
    np.testing.assert_allclose(numpy_of(prior), expected(scores, PADDING, PADDING), atol=1e-3)


def test_compiled_prior_equals_the_eager_one():
    scores = attention()
    prior = compiled(functional.significance_prior)(scores, PADDING)
    np.testing.assert_allclose(numpy_of(prior), expected(scores, PADDING, PADDING), atol=1e-6)


def test_weights_without_mass_become_uniform():
    weights = functional.normalize_weights(np.zeros((1, 4), "float32"), [[1, 1, 0, 0]])
    np.testing.assert_allclose(numpy_of(weights), [[0.5, 0.5, 0, 0]])


@pytest.mark.parametrize("scores", [[], np.zeros((2, 3, 4))])
def test_wrong_attention_is_refused_by_name(scores):
    with pytest.raises(ValueError, match="attention_scores"):
        functional.significance_prior(scores, np.ones((2, 4)))


def test_padding_is_no_unit_whatever_the_unit_mask_says():
    found = numpy_of(
        functional.significance_prior(
            np.full((1, 2, 1, 3, 3), 1 / 3, "float32"), [[1, 1, 0], [0, 0, 0]], np.ones((2, 3))
        )
    )
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], atol=1e-6)
