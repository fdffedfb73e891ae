import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.layers import AnchorSpanPooling, SignificancePrior, WeightedLayerSum
from pad_keras.losses import functional
from tests.backend import numpy_of
from tests.losses.batches import batch, utterances


def reloaded(model, path):
    model.save(path)
    return keras.saving.load_model(path)


def test_significance_prior_layer_equals_its_function_and_serialises(tmp_path):
    maps = keras.Input((4, 6, 6), name="maps")
    mask = keras.Input((6,), dtype="bool", name="mask")
    model = keras.Model([maps, mask], SignificancePrior()([maps], padding_mask=mask))
    scores = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 4, 6)).astype("float32")
    valid = np.arange(6)[None] < np.array([[6], [4]])
    wanted = numpy_of(functional.significance_prior([scores], valid))
    np.testing.assert_allclose(numpy_of(model([scores, valid])), wanted, atol=1e-6)
    again = reloaded(model, tmp_path / "prior.keras")
    np.testing.assert_allclose(numpy_of(again([scores, valid])), wanted, atol=1e-6)


def test_significance_prior_layer_takes_all_positions_for_real_by_default():
    scores = np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 2, 4, 5)).astype("float32")
    scores = np.concatenate([scores, scores[:, :, :1]], axis=2)  # [3, 2, 5, 5]: one layer
    prior = numpy_of(SignificancePrior()(ops.convert_to_tensor(scores)))
    np.testing.assert_allclose(prior.sum(-1), 1, atol=1e-6)


def test_anchor_span_pooling_under_a_half_precision_policy_sums_in_float32():
    text, speech = batch(utterances())
    plain = AnchorSpanPooling()(speech, text["mask"])
    keras.config.set_dtype_policy("mixed_float16")
    half = AnchorSpanPooling()(speech, text["mask"])
    np.testing.assert_array_equal(numpy_of(half["embeddings"]), numpy_of(plain["embeddings"]))


@pytest.mark.parametrize("widths", [(None, None), (23, None), (None, 9), (23, 9)])
def test_anchor_span_pooling_is_a_part_of_functional_models(widths):
    text, speech = batch(utterances())
    frames, units = widths
    inputs = {
        "embeddings": keras.Input((frames, 8)),
        "significance": keras.Input((frames,)),
        "mask": keras.Input((frames,), dtype="bool"),
    }
    text_mask = keras.Input((units,), dtype="bool")
    model = keras.Model([inputs, text_mask], AnchorSpanPooling()(inputs, text_mask))
    expected = numpy_of(AnchorSpanPooling()(speech, text["mask"]))
    given = {name: speech[name] for name in inputs}
    found = numpy_of(model([given, text["mask"]]))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)
        symbolic = model.output[name].shape
        assert all(a in (None, b) for a, b in zip(symbolic, values.shape, strict=True))
        if None not in widths:
            assert tuple(symbolic[1:]) == values.shape[1:]


def test_anchor_span_pooling_rebuilds_from_its_config():
    layer = AnchorSpanPooling(1.5, radius=3, scales=(1, 2), anchor_selection="even")
    again = AnchorSpanPooling.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_weighted_layer_sum_starts_as_the_mean_and_learns_weights(tmp_path):
    states = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    inputs = keras.Input((4, None, 3))
    layer = WeightedLayerSum()
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(numpy_of(model(states)), states.mean(1), atol=1e-6)
    model.compile("adam", "mse")
    model.fit(states, states[:, 2], epochs=30, verbose=0)
    assert numpy_of(layer.layer_weights()).argmax() == 2
    again = reloaded(model, tmp_path / "sum.keras")
    np.testing.assert_allclose(numpy_of(again(states)), numpy_of(model(states)), atol=1e-6)


def test_weighted_layer_sum_refuses_an_unknown_number_of_layers():
    with pytest.raises(ValueError, match="hidden_states"):
        WeightedLayerSum().build((None, None, None, 3))
