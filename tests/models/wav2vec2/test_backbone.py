"""What a user of the backbone relies on, whatever its weights."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from pad_keras.models.wav2vec2 import Wav2Vec2Backbone
from tests.backend import BACKEND, numpy_of

KINDS = {
    "group": {},
    "layer": {"conv_norm": "layer", "conv_bias": True, "norm_first": True},
    "batch-norm": {"positional_batch_norm": True, "model_type": "hubert"},
    "normalized": {"normalize_waveform": True, "normalize_hidden_states": True},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def run(backbone, inputs, training=False):
    return numpy_of(backbone(inputs, training=training))


def test_outputs_have_the_documented_shapes_and_types(small, waveforms):
    outputs = run(small(), waveforms)
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {
        "sequence_output": (2, 119, 32),
        "hidden_states": (2, 3, 119, 32),
        "significance": (2, 119),
        "mask": (2, 119),
    }
    assert outputs["mask"].dtype == bool
    assert outputs["mask"].sum(1).tolist() == [119, 74]
    np.testing.assert_array_equal(outputs["hidden_states"][:, -1], outputs["sequence_output"])


def test_the_prior_sums_to_one_over_real_frames(small, waveforms):
    outputs = run(small(), waveforms)
    np.testing.assert_allclose(outputs["significance"].sum(1), 1, rtol=1e-5)
    assert (outputs["significance"][~outputs["mask"]] == 0).all()
    assert (outputs["significance"][outputs["mask"]] > 0).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_hidden_states_can_be_normalised_frame_by_frame(policy, small, waveforms):
    plain, normalized = (
        run(small(normalize_hidden_states=asked, dtype=policy), waveforms)
        for asked in (False, True)
    )
    tolerance = 1e-4 if policy == "float32" else 0.05
    for row, layer, frame in np.ndindex(normalized["hidden_states"].shape[:3]):
        if not plain["mask"][row, frame]:
            continue
        one = plain["hidden_states"][row, layer, frame].astype("float64")
        expected = (one - one.mean()) / np.sqrt(one.var() + 1e-5)
        np.testing.assert_allclose(
            normalized["hidden_states"][row, layer, frame].astype("float64"),
            expected,
            atol=tolerance,
        )
    for name in ("sequence_output", "significance"):
        np.testing.assert_array_equal(normalized[name], plain[name])


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_the_mask_may_be_numbers(dtype, small, waveforms):
    backbone = small()
    numbers = {**waveforms, "padding_mask": waveforms["padding_mask"].astype(dtype)}
    keras.tree.map_structure(
        np.testing.assert_array_equal, run(backbone, numbers), run(backbone, waveforms)
    )


@EVERY_KIND
def test_an_utterance_gives_the_same_alone_and_padded_with_garbage(kind, small):
    backbone = small(**KINDS[kind])
    if kind == "batch-norm":
        # Off zero, so that the norm would turn zero padding into something else.
        norm = backbone.positional_embedding.normalization
        norm.moving_mean.assign(np.linspace(-1, 1, 32))
    rng = np.random.default_rng(1)
    lengths = [2400, 1500, 777]
    mask = np.arange(2400)[None, :] < np.array(lengths)[:, None]
    garbage = rng.choice([1e3, np.nan, np.inf, -np.inf], size=mask.shape)
    waveform = np.where(mask, rng.normal(size=mask.shape), garbage).astype("float32")
    batch = run(backbone, {"waveform": waveform, "padding_mask": mask})
    for row, length in enumerate(lengths):
        alone = {"waveform": waveform[row, None, :length], "padding_mask": mask[row, None, :length]}
        alone = run(backbone, alone)
        frames = alone["mask"].shape[1]
        assert batch["mask"][row].sum() == frames
        for name in ("sequence_output", "significance"):
            np.testing.assert_allclose(
                batch[name][row, :frames], alone[name][0], atol=2e-5, err_msg=name
            )
        np.testing.assert_allclose(
            batch["hidden_states"][row, :, :frames], alone["hidden_states"][0], atol=2e-5
        )


def test_the_reference_group_norm_depends_on_padding(small, waveforms):
    backbone = small(batch_independent=False)
    alone = {name: value[1:, :1500] for name, value in waveforms.items()}
    padded = {name: value[1:] for name, value in waveforms.items()}
    difference = run(backbone, padded)["sequence_output"][:, :74]
    difference = difference - run(backbone, alone)["sequence_output"]
    assert np.abs(difference).max() > 1e-2


def test_normalising_the_waveform_forgets_gain_and_offset(small, waveforms):
    backbone = small(normalize_waveform=True, conv_norm="layer", conv_bias=True)
    moved = {**waveforms, "waveform": 0.01 * waveforms["waveform"] + 0.2}
    np.testing.assert_allclose(
        run(backbone, moved)["sequence_output"][0],
        run(backbone, waveforms)["sequence_output"][0],
        atol=1e-2,
    )


def test_an_utterance_shorter_than_a_frame_has_no_frame_and_no_nan(small, waveforms):
    waveforms["padding_mask"][1] = np.arange(2400) < 20
    outputs = run(small(), waveforms)
    assert outputs["mask"].sum(1).tolist() == [119, 0]
    assert (outputs["significance"][1] == 0).all()
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_a_waveform_shorter_than_a_frame_is_refused():
    backbone = Wav2Vec2Backbone.from_preset("mini", num_layers=1)
    inputs = {"waveform": np.zeros((1, 399), "float32"), "padding_mask": np.ones((1, 399), bool)}
    with pytest.raises(ValueError, match="399 samples.*at least 400"):
        backbone(inputs)


def test_significance_layers_choose_whose_attention_counts(small, waveforms):
    priors = {}
    for layers in (None, [0], [1], [-1], [1, 0]):
        priors[str(layers)] = run(small(significance_layers=layers), waveforms)["significance"]
    assert np.abs(priors["[0]"] - priors["[1]"]).max() > 1e-6
    np.testing.assert_array_equal(priors["[-1]"], priors["[1]"])
    np.testing.assert_array_equal(priors["[1, 0]"], priors["None"])
    np.testing.assert_allclose((priors["[0]"] + priors["[1]"]) / 2, priors["None"], atol=1e-6)


def query_gradient(backbone, inputs):
    """Gradient of the first frame's significance with respect to a query kernel."""
    variable = backbone.transformer_layers[0].attention.query.kernel
    if BACKEND == "jax":
        import jax

        values = [weight.value for weight in backbone.trainable_variables]
        position = next(i for i, w in enumerate(backbone.trainable_variables) if w is variable)
        frozen = [weight.value for weight in backbone.non_trainable_variables]

        def significance(value):
            changed = [*values[:position], value, *values[position + 1 :]]
            return backbone.stateless_call(changed, frozen, inputs)[0]["significance"][0, 0]

        return np.asarray(jax.grad(significance)(variable.value))
    if BACKEND == "torch":
        significance = backbone(inputs)["significance"][0, 0]
        if significance.requires_grad:
            significance.backward()
        gradient = variable.value.grad
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            significance = backbone(inputs)["significance"][0, 0]
        gradient = tape.gradient(significance, variable.value)
    return np.zeros(variable.shape) if gradient is None else ops.convert_to_numpy(gradient)


@pytest.mark.parametrize("stop", [True, False])
def test_gradients_flow_through_the_prior_only_when_asked_to(stop, small, waveforms):
    backbone = small(stop_significance_gradient=stop)
    gradient = query_gradient(backbone, waveforms)
    assert (np.abs(gradient).max() == 0) == stop


def small_trainer(backbone, **compile_arguments):
    """A model that pulls the pooled output to zero, and 8 utterances for it."""
    inputs = {
        "waveform": keras.Input((None,), name="waveform"),
        "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
    }
    outputs = backbone(inputs)
    weights = outputs["significance"][:, :, None]
    pooled = ops.sum(ops.cast(outputs["sequence_output"], "float32") * weights, axis=1)
    model = keras.Model(inputs, pooled)
    model.compile(keras.optimizers.Adam(1e-3), loss="mse", **compile_arguments)
    rng = np.random.default_rng(2)
    mask = np.arange(1200)[None, :] < rng.integers(600, 1200, size=(8, 1))
    x = {"waveform": rng.normal(size=mask.shape).astype("float32"), "padding_mask": mask}
    return model, x, np.zeros((8, 32), "float32")


EVERY_TRAINING_FEATURE = {
    "layer_drop": 0.2,
    "mask_time_prob": 0.1,
    "mask_feature_prob": 0.1,
    "norm_first": True,
}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_trains_by_fit(jit_compile, small):
    if jit_compile and BACKEND == "torch":
        pytest.skip("Compilation needs a C++ compiler on PyTorch.")
    if not jit_compile and BACKEND == "jax":
        pytest.skip("JAX is meant to be compiled; operation by operation it is slow.")
    model, x, y = small_trainer(small(**EVERY_TRAINING_FEATURE), jit_compile=jit_compile)
    history = model.fit(x, y, batch_size=4, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.9 * history[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", ["group", "layer"])
def test_half_precision_stays_close_and_finite(policy, kind, small, waveforms):
    full = run(small(**KINDS[kind]), waveforms)
    half = run(small(**KINDS[kind], dtype=policy), waveforms)
    assert half["significance"].dtype == np.float32
    real = full["mask"]
    error = half["sequence_output"].astype("float32")[real] - full["sequence_output"][real]
    assert np.abs(error).mean() < (0.005 if policy == "mixed_float16" else 0.05)
    np.testing.assert_allclose(half["significance"].sum(1), 1, rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_trains_without_nan(policy, small):
    backbone = small(**EVERY_TRAINING_FEATURE, num_layers=1, dtype=policy)
    model, x, y = small_trainer(backbone, jit_compile=BACKEND == "jax")
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_frozen_feature_encoder_does_not_change(small):
    backbone = small(freeze_feature_encoder=True, num_layers=1)
    front_end = backbone.feature_encoder
    frozen = {id(variable) for variable in front_end.variables}
    assert not frozen & {id(variable) for variable in backbone.trainable_variables}
    model, x, y = small_trainer(backbone, jit_compile=BACKEND == "jax")
    before = [front_end.get_weights(), backbone.feature_projection.get_weights()]
    model.fit(x, y, batch_size=4, verbose=0)
    for old, new in zip(before[0], front_end.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(before[1][0] - backbone.feature_projection.get_weights()[0]).max() > 0


def test_any_length_can_follow_any_other(small):
    backbone = small(num_layers=1)
    for samples, frames in ((1200, 59), (700, 34)):
        x = {"waveform": np.ones((3, samples)), "padding_mask": np.ones((3, samples), bool)}
        assert backbone.predict(x, verbose=0)["mask"].shape == (3, frames)


def assert_same_outputs(one, other, inputs):
    keras.tree.map_structure(np.testing.assert_array_equal, run(one, inputs), run(other, inputs))


@EVERY_KIND
def test_config_rebuilds_the_same_architecture(kind, small, waveforms):
    backbone = small(**KINDS[kind], significance_layers=[-1], freeze_feature_encoder=True)
    rebuilt = Wav2Vec2Backbone.from_config(backbone.get_config())
    assert rebuilt.get_config() == backbone.get_config()
    rebuilt.set_weights(backbone.get_weights())
    assert_same_outputs(rebuilt, backbone, waveforms)


def test_a_keras_file_round_trip(small, waveforms, tmp_path):
    backbone = small(**EVERY_TRAINING_FEATURE)
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.models.load_model(tmp_path / "backbone.keras")
    assert isinstance(loaded, Wav2Vec2Backbone)
    assert_same_outputs(loaded, backbone, waveforms)


@pytest.mark.parametrize("base_class", [Wav2Vec2Backbone, keras_hub.models.Backbone])
def test_a_preset_round_trip(base_class, small, waveforms, tmp_path):
    backbone = small(**KINDS["layer"])
    backbone.save_to_preset(tmp_path)
    assert_same_outputs(base_class.from_preset(str(tmp_path)), backbone, waveforms)


def test_a_preset_takes_other_training_rates(small, waveforms, tmp_path):
    backbone = small(hidden_dropout=0.0, attention_dropout=0.0)
    backbone.save_to_preset(tmp_path)
    rates = {"layer_drop": 0.1, "mask_time_prob": 0.05, "hidden_dropout": 0.1}
    loaded = Wav2Vec2Backbone.from_preset(tmp_path, **rates)
    assert {name: getattr(loaded, name) for name in rates} == rates
    assert_same_outputs(loaded, backbone, waveforms)


def test_a_preset_without_weights_is_random(small, waveforms, tmp_path):
    backbone = small()
    backbone.save_to_preset(tmp_path)
    loaded = Wav2Vec2Backbone.from_preset(str(tmp_path), load_weights=False)
    difference = run(loaded, waveforms)["sequence_output"]
    difference = difference - run(backbone, waveforms)["sequence_output"]
    assert np.abs(difference).max() > 0.1


def test_the_mini_size_is_as_documented():
    backbone = Wav2Vec2Backbone.from_preset("mini", layer_drop=0.1)
    assert backbone.layer_drop == 0.1
    assert backbone.hidden_dim == 384
    assert 6.4e6 < backbone.count_params() < 6.5e6


@pytest.mark.parametrize("size", ["base", "large"])
def test_named_sizes_are_those_of_the_reference(size, small):
    transformers = pytest.importorskip("transformers")
    from pad_keras.models.wav2vec2 import presets, transformers_config

    config = transformers_config.reference_config(
        small(**{**presets.ARCHITECTURES[size], "num_layers": 1})
    )
    large = {
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
    }
    expected = transformers.Wav2Vec2Config(**(large if size == "large" else {})).to_dict()
    for key in large:
        assert config[key] == expected[key], key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"conv_kernels": (10, 3)}, "`conv_kernels`.*3, 2 and 3"),
        ({"conv_norm": "batch"}, "`conv_norm`.*'batch'"),
        ({"num_heads": 5}, "`num_heads`.*5 does not divide 32"),
        ({"positional_groups": 3}, "`positional_groups`.*3 does not divide 32"),
        ({"layer_drop": 1.0}, "`layer_drop`.*1.0"),
        ({"mask_time_prob": -0.1}, "`mask_time_prob`.*-0.1"),
        ({"significance_layers": []}, "`significance_layers`"),
        ({"significance_layers": [2]}, r"`significance_layers`.*\[2\]"),
        ({"model_type": "wavlm"}, "`model_type`.*'wavlm'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message, small):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
