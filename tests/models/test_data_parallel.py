"""Batches shared among devices train and measure what one device does."""

import contextlib

import keras
import numpy as np
import pytest

from pad_keras.losses import ContrastiveAlignment, SpanAlignment
from pad_keras.models import AlignmentDistiller, MaskedPredictionModel
from pad_keras.optimizers import MonitoredAdamW
from tests.backend import BACKEND, numpy_of
from tests.models.test_alignment_distiller import speech_batch
from tests.models.test_text_teacher import batch_of
from tests.small import speech_student, text_teacher, texts

pytestmark = pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution is for JAX")

COUNT, DEVICES = 6, 3


def speech():
    return speech_batch([4000 + 300 * i for i in range(COUNT)])


def distillation():
    """With dropout, and a loss for which utterances on other devices are negatives."""
    teacher = text_teacher()
    student = speech_student(24, hidden_dropout=0.1, mask_time_prob=0.1, mask_time_length=2)
    model = AlignmentDistiller(teacher, student, [SpanAlignment(), ContrastiveAlignment()])
    return model, ({"speech": speech(), "text": batch_of(teacher, texts(COUNT), width=10)},)


def pretraining():
    model = MaskedPredictionModel(speech_student(mask_time_prob=0.5, mask_time_length=3), 3)
    frames = numpy_of(model.backbone(speech())["mask"]).shape
    return model, (speech(), np.tile(np.arange(frames[1]) % 3, (COUNT, 1)))


def stream(batch):
    while True:
        yield batch


def trained(make, distribution):
    """Logs, predictions and weights after a few steps; valid is a batch of fewer than devices."""
    keras.utils.set_random_seed(0)
    with distribution.scope() if distribution else contextlib.nullcontext():
        model, batch = make()
        model.compile(MonitoredAdamW(3e-3, global_clipnorm=1.0), jit_compile=True)
        two = keras.tree.map_structure(lambda x: x[:2], batch)
        # Before `fit`, as a run measures the untrained state: it must make nothing of one device.
        model.evaluate(stream(two), steps=1, verbose=0)
        history = model.fit(
            stream(batch),
            validation_data=stream(two),
            validation_steps=1,
            steps_per_epoch=3,
            epochs=2,
            verbose=0,
            shuffle=False,
        ).history
        model.jax_state_sync()
        predicted = model.predict(stream(two), steps=1, verbose=0)
    if distribution:
        for variable in model.trainable_variables:
            assert len(variable.value.sharding.device_set) == DEVICES
    return history, predicted, numpy_of([v.value for v in model.trainable_variables])


@pytest.mark.parametrize("make", [distillation, pretraining])
def test_several_devices_do_what_one_does(make):
    devices = keras.distribution.list_devices()[:DEVICES]
    assert len(devices) == DEVICES
    alone = trained(make, None)
    shared = trained(make, keras.distribution.DataParallel(devices=devices))
    assert alone[0].keys() == shared[0].keys() >= {"loss", "val_loss"}
    for name, values in alone[0].items():
        np.testing.assert_allclose(shared[0][name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    for expected, found in zip(
        keras.tree.flatten(alone[1:]), keras.tree.flatten(shared[1:]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)
    assert keras.distribution.distribution() is None
