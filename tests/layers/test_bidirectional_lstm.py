import keras
import numpy as np
import pytest

from pad_keras.layers import BidirectionalLSTM
from tests.backend import BACKEND, numpy_of


def padded(lengths=(5, 2, 1, 0), frames=5, dim=3):
    inputs = np.random.default_rng(0).normal(size=(len(lengths), frames, dim)).astype("float32")
    return inputs, np.arange(frames)[None] < np.array(lengths)[:, None]


def by_keras(layer, inputs, mask):
    """The same weights in Keras' own layer, whose loop keeps the mask."""
    own = keras.layers.Bidirectional(keras.layers.LSTM(layer.units, return_sequences=True))
    own.build(inputs.shape)
    own.set_weights(layer.get_weights())
    return numpy_of(own(inputs, mask=mask))


def test_real_frames_are_those_of_keras_with_a_mask():
    inputs, mask = padded()
    layer = BidirectionalLSTM(4)
    found = numpy_of(layer(inputs, padding_mask=mask))
    assert found.shape == layer.compute_output_shape(inputs.shape) == (4, 5, 8)
    np.testing.assert_allclose(found[mask], by_keras(layer, inputs, mask)[mask], atol=1e-6)


def test_padding_changes_no_real_frame():
    inputs, mask = padded()
    layer = BidirectionalLSTM(4)
    found = numpy_of(layer(inputs, padding_mask=mask))
    other = np.where(mask[:, :, None], inputs, np.nan).astype("float32")
    np.testing.assert_array_equal(numpy_of(layer(other, padding_mask=mask))[mask], found[mask])
    alone = numpy_of(layer(inputs[1:2, :2], padding_mask=mask[1:2, :2]))
    np.testing.assert_allclose(found[1, :2], alone[0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_it_serialises_with_its_precision(tmp_path, dtype):
    inputs, mask = padded()
    model = model_of(BidirectionalLSTM(4, dtype=dtype))
    model.save(tmp_path / "lstm.keras")
    again = keras.saving.load_model(tmp_path / "lstm.keras")
    layer = again.get_layer(index=-1)
    # JAX's binding of cuDNN takes float32 alone.
    refuses = BACKEND == "jax" and dtype != "float32"
    assert layer.forward_layer.use_cudnn == (False if refuses else "auto")
    assert layer.forward_layer.compute_dtype == layer.compute_dtype == model.output.dtype
    found, wanted = (numpy_of(one([inputs, mask])).astype("float32") for one in (again, model))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_gradients_are_those_of_keras_with_a_mask(dtype, tolerance):
    inputs, mask = padded()
    layers = (BidirectionalLSTM(4, dtype=dtype), keras_own(dtype))
    models = [summed(model_of(layer)) for layer in layers]
    models[1].set_weights(models[0].get_weights())
    before = models[0].get_weights()
    for model in models:
        # Of a rate that shows gradients as they are.
        model.compile(keras.optimizers.SGD(1.0), "mae", jit_compile=False)
        model.train_on_batch([inputs, mask], np.zeros(len(inputs), "float32"))
    after, wanted = (model.get_weights() for model in models)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(after, before, strict=True))
    for mine, theirs in zip(after, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)


def keras_own(dtype):
    """Keras' own, called alike."""
    layer = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True, dtype=dtype))
    return lambda inputs, padding_mask: layer(inputs, mask=padding_mask)


def model_of(layer):
    inputs, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    return keras.Model([inputs, mask], layer(inputs, padding_mask=mask))


def summed(model):
    """With the sum of squares of each utterance's real frames as output."""
    real = keras.ops.cast(model.inputs[1], "float32")[:, :, None]
    squares = keras.ops.square(keras.ops.cast(model.output, "float32"))
    return keras.Model(model.inputs, keras.ops.sum(squares * real, axis=(1, 2)))
