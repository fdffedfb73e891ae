import keras
import numpy as np
import pytest

from pad_keras.models import UtteranceClassifier, Wav2Vec2Backbone
from pad_keras.models.wav2vec2.transformer import TransformerLayer
from tests.backend import BACKEND, QUICK, numpy_of
from tests.models.test_alignment_distiller import speech_batch
from tests.small import speech_student

RATES = {
    "hidden_dropout": 0.1,
    "attention_dropout": 0.2,
    "activation_dropout": 0.3,
    "layer_drop": 0.4,
}


def batch():
    return speech_batch([5000, 4000, 3000]), {"intent": np.array([0, 1, 1])}


def trained(gradient_checkpointing, settings=QUICK, **student):
    """Losses and weights of a few steps of an encoder with a head."""
    student = speech_student(gradient_checkpointing=gradient_checkpointing, **student)
    keras.utils.set_random_seed(1)
    model = UtteranceClassifier(student, {"intent": ("a", "b")}, fine_tune=True)
    model.compile(keras.optimizers.SGD(0.3), **settings)
    losses = [float(model.train_on_batch(*batch(), return_dict=True)["loss"]) for _ in range(3)]
    return losses, [numpy_of(weight.value) for weight in model.trainable_variables]


@pytest.mark.parametrize("norm_first", [True, False])
def test_training_is_the_same(norm_first):
    if BACKEND == "jax" and not norm_first:
        pytest.skip("each takes JAX a minute to compile")
    student = {**RATES, "norm_first": norm_first, "significance_layers": (0,)}
    (losses, weights), (expected_losses, expected) = (
        trained(checkpointing, **student) for checkpointing in (True, False)
    )
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    assert losses[0] != losses[-1]
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiles above, torch needs a compiler")
def test_compiled_training_in_mixed_precision_is_the_same():
    (losses, _), (expected, _) = (
        trained(checkpointing, {"jit_compile": True}, dtype="mixed_bfloat16", **RATES)
        for checkpointing in (True, False)
    )
    np.testing.assert_allclose(losses, expected, rtol=2e-2)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX traces a layer once")
def test_only_training_computes_layers_again(monkeypatch):
    calls = []
    transform = TransformerLayer._transform
    monkeypatch.setattr(
        TransformerLayer,
        "_transform",
        lambda self, *inputs: calls.append(self) or transform(self, *inputs),
    )
    eager = {"run_eagerly": True, "jit_compile": False}
    for checkpointing, expected in ((False, 2), (True, 4)):
        student = speech_student(gradient_checkpointing=checkpointing)
        model = UtteranceClassifier(student, {"intent": ("a", "b")}, fine_tune=True)
        model.compile(keras.optimizers.SGD(0.1), **eager)
        calls.clear()
        model.train_on_batch(*batch())
        assert len(calls) == expected
        calls.clear()
        model.test_on_batch(*batch())
        assert len(calls) == 2


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX's traces")
def test_jax_is_told_to_compute_layers_again():
    import jax

    for checkpointing in (False, True):
        student = speech_student(gradient_checkpointing=checkpointing)
        state = [[v.value for v in student.trainable_variables]]
        state.append([v.value for v in student.non_trainable_variables])
        trace = jax.make_jaxpr(
            lambda *s, m=student: m.stateless_call(*s, batch()[0], training=True)
        )
        assert ("remat" in str(trace(*state))) == checkpointing


def test_it_is_an_argument_that_presets_keep(tmp_path):
    student = speech_student(gradient_checkpointing=True)
    assert student.get_config()["gradient_checkpointing"] is True
    student.save_to_preset(str(tmp_path))
    assert Wav2Vec2Backbone.from_preset(str(tmp_path)).gradient_checkpointing
    plain = Wav2Vec2Backbone.from_preset(str(tmp_path), gradient_checkpointing=False)
    assert not plain.transformer_layers[0].gradient_checkpointing
