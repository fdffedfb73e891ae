import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.models import ContrastiveModel, MaskedPredictionModel
from pad_keras.optimizers import MonitoredAdamW
from tests.backend import BACKEND, QUICK, gradient, numpy_of
from tests.models.test_alignment_distiller import speech_batch
from tests.small import speech_student

MODELS = {
    "hubert": lambda backbone: MaskedPredictionModel(
        backbone, num_clusters=3, projection_dim=8, unmasked_weight=0.5
    ),
    "wav2vec2": lambda backbone: ContrastiveModel(
        backbone, negatives=5, entries=6, projection_dim=8
    ),
    "wav2vec2-excluding": lambda backbone: ContrastiveModel(
        backbone, negatives=5, entries=6, projection_dim=8, exclude_same_code=True
    ),
}
LENGTHS = [9000, 7000, 8000]


@pytest.fixture
def inputs():
    return speech_batch(LENGTHS)


def backbone(**kwargs):
    return speech_student(mask_time_prob=0.5, mask_time_length=3, **kwargs)


def clusters(inputs):
    frames = numpy_of(backbone()(inputs)["mask"])
    return np.where(frames, np.arange(frames.shape[1]) % 3, -1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compile_arguments", ["quick", "compiled", "mixed_bfloat16"])
def test_fit_lowers_the_loss(name, compile_arguments, inputs):
    if compile_arguments == "compiled" and BACKEND == "torch":
        pytest.skip("torch compiles by a C++ compiler, which need not be there")
    settings = QUICK if compile_arguments != "compiled" else {"jit_compile": True}
    dtype = compile_arguments if "mixed" in compile_arguments else "float32"
    model = MODELS[name](backbone(dtype=dtype))
    model.compile(MonitoredAdamW(1e-2), **settings)
    steps = 8 if compile_arguments != "compiled" else 2
    history = model.fit(inputs, clusters(inputs), batch_size=3, epochs=steps, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert 0 <= history["accuracy"][-1] <= 1
    if steps > 2:
        assert np.mean(history["loss"][-3:]) < np.mean(history["loss"][:3])


def test_only_real_frames_are_masked_and_masked_frames_become_the_mask_embedding(inputs):
    model = MODELS["hubert"](backbone())
    frames, encoded, masked, mask = model.encode_masked(inputs, training=False)
    masked, mask = numpy_of(masked), numpy_of(mask)
    assert masked.any()
    assert not (masked & ~mask).any()
    # Whatever a masked frame was, the transformer does not see it.
    changed = ops.where(ops.convert_to_tensor(masked)[:, :, None], 7.0, frames)
    again = model.backbone.contextualize(changed, mask, ops.convert_to_tensor(masked))
    np.testing.assert_allclose(
        numpy_of(again["sequence_output"])[mask], numpy_of(encoded)[mask], atol=1e-5
    )


def test_the_front_end_gets_a_share_of_the_gradient(inputs):
    model = MODELS["wav2vec2"](backbone())

    def slope(scale):
        def total(waveform):
            speech = {**inputs, "waveform": waveform}
            return ops.sum(ops.square(model.encode_masked(speech, False, scale)[0]))

        return gradient(total, inputs["waveform"])

    whole = slope(1.0)
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(slope(0.25), 0.25 * whole, rtol=1e-4, atol=1e-7)
    one, other = (model.encode_masked(inputs, False, scale)[0] for scale in (1.0, 0.25))
    np.testing.assert_array_equal(numpy_of(one), numpy_of(other))


def test_without_masked_frames_the_backbone_is_itself(inputs):
    encoder = backbone()
    frames, mask = encoder.feature_encoder(inputs["waveform"], inputs["padding_mask"])
    outputs = encoder.contextualize(frames, mask)
    for name, value in numpy_of(encoder(inputs)).items():
        np.testing.assert_allclose(numpy_of(outputs[name]), value, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_padding_does_not_change_the_loss(name, inputs):
    model = MODELS[name](backbone())
    keras.utils.set_random_seed(0)
    targets = clusters(inputs)
    outputs = model(inputs)
    loss = float(numpy_of(model.compute_loss(y=targets, y_pred=outputs)))
    mask = numpy_of(model.backbone(inputs)["mask"])
    spoilt = {
        key: ops.where(
            ops.reshape(ops.convert_to_tensor(mask), (*mask.shape, *[1] * (len(value.shape) - 2))),
            value,
            ops.cast(1, value.dtype) if "mask" not in key else value,
        )
        for key, value in outputs.items()
    }
    again = float(numpy_of(model.compute_loss(y=np.where(mask, targets, 2), y_pred=spoilt)))
    assert again == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_saved_and_loaded(name, inputs, tmp_path):
    model = MODELS[name](backbone())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config().keys() == model.get_config().keys()
    assert type(again) is type(model)
    for weight, other in zip(model.weights, again.weights, strict=True):
        if "seed" not in weight.path:
            np.testing.assert_array_equal(numpy_of(weight.value), numpy_of(other.value))


@pytest.mark.parametrize("name", MODELS)
def test_a_backbone_that_masks_nothing_is_refused(name):
    with pytest.raises(ValueError, match=r"mask_time_prob=0\.0.*build it with"):
        MODELS[name](speech_student())


@pytest.mark.parametrize("name", MODELS)
def test_a_dtype_policy_comes_back(name):
    kind = type(MODELS[name](backbone()))
    model = kind.from_config({**MODELS[name](backbone()).get_config(), "dtype": "mixed_bfloat16"})
    assert kind.from_config(model.get_config()).dtype_policy.name == "mixed_bfloat16"
