import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.layers import GumbelQuantizer
from tests.backend import gradient, numpy_of

X = np.random.default_rng(0).normal(size=(2, 9, 6)).astype("float32")


def test_outside_training_it_takes_the_most_probable_entries():
    layer = GumbelQuantizer(groups=2, entries=5, output_dim=8)
    quantized, probabilities, codes = numpy_of(layer(X))
    kernel, bias = (numpy_of(w.value) for w in layer.choice.weights)
    codebooks = numpy_of(layer.codebooks.value)
    for b, i in np.ndindex(2, 9):
        chosen = (X[b, i] @ kernel + bias).reshape(2, 5).argmax(axis=1)
        expected = np.concatenate([codebooks[group, chosen[group]] for group in range(2)])
        np.testing.assert_allclose(quantized[b, i], expected, rtol=1e-5)
        assert codes[b, i] == chosen[0] * 5 + chosen[1]
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


def test_training_draws_entries_and_passes_the_gradient_on():
    keras.utils.set_random_seed(0)
    layer = GumbelQuantizer(groups=1, entries=4, output_dim=3, temperature=(2.0, 0.5, 0.7))
    first, second = (numpy_of(layer(X, training=True)[2]) for _ in range(2))
    assert (first != second).any()
    assert float(numpy_of(layer.steps.value)) == 2
    if keras.backend.backend() == "jax":
        return  # Outside of fit, JAX cannot take a gradient through the count of steps.
    slope = gradient(lambda x: ops.sum(layer(x, training=True)[0] ** 2), X)
    assert np.isfinite(slope).all()
    assert slope.any()


def test_the_layer_comes_back_from_its_config():
    layer = GumbelQuantizer(groups=2, entries=5, output_dim=8, temperature=(1.0, 0.9, 0.1))
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()


def test_widths_must_fit():
    with pytest.raises(ValueError, match="`output_dim` must be a multiple of `groups`=2, got 7"):
        GumbelQuantizer(groups=2, output_dim=7)
