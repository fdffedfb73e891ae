"""Batches shared among devices train and measure what one device does."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from experiments.backends import shared_among
from pad_keras.losses import ContrastiveAlignment, SpanAlignment
from pad_keras.models import (
    AlignmentDistiller,
    MaskedPredictionModel,
    SlotFiller,
    UtteranceClassifier,
)
from pad_keras.models.shared_batches import SharedBatches
from pad_keras.optimizers import ClippedAdam, MonitoredAdamW
from tests.backend import BACKEND, numpy_of
from tests.models.test_alignment_distiller import speech_batch
from tests.models.test_text_teacher import batch_of
from tests.small import speech_student, text_teacher, texts

pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="batches are not shared on torch")

COUNT, DEVICES = 6, 3 if BACKEND == "jax" else 2
# Replicas of TensorFlow each draw for their own rows: not what one device draws for all.
DRAWS_ARE_SHARED = BACKEND == "jax"
NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0}


def speech():
    return speech_batch([4000 + 300 * i for i in range(COUNT)])


def distillation():
    """With a loss for which utterances on other devices are negatives."""
    teacher = text_teacher()
    draws = {"hidden_dropout": 0.1, "mask_time_prob": 0.1, "mask_time_length": 2}
    student = speech_student(24, **draws if DRAWS_ARE_SHARED else NO_DROPOUT)
    model = AlignmentDistiller(teacher, student, [SpanAlignment(), ContrastiveAlignment()])
    return model, ({"speech": speech(), "text": batch_of(teacher, texts(COUNT), width=10)},)


def pretraining():
    masked = {"mask_time_prob": 0.5, "mask_time_length": 3}
    student = speech_student(**masked, **{} if DRAWS_ARE_SHARED else NO_DROPOUT)
    if not DRAWS_ARE_SHARED:
        student.spec_augment.time_spans = every_second_frame
    model = MaskedPredictionModel(student, 3)
    frames = numpy_of(model.backbone(speech())["mask"]).shape
    return model, (speech(), np.tile(np.arange(frames[1], dtype="int32") % 3, (COUNT, 1)))


def every_second_frame(batch, frames):
    return ops.tile(ops.arange(frames)[None] % 2 == 0, (batch, 1))


def classification():
    model = UtteranceClassifier(speech_student(**NO_DROPOUT), {"intent": ("on", "off")}, True)
    return model, (speech(), {"intent": np.arange(COUNT, dtype="int32") % 2})


def spelling():
    """CTC, of labels that differ in number, by recurrent layers."""
    model = SlotFiller(
        speech_student(**NO_DROPOUT),
        ("city",),
        projection_dim=8,
        lstm_dim=8,
        dropout=0.0,
        spec_augment=False,
    )
    lengths = np.arange(COUNT, dtype="int32") % 3 + 1
    return model, (speech(), {"ids": np.ones((COUNT, 3), "int32"), "length": lengths})


def stream(batch):
    if BACKEND == "jax":
        return (batch for _ in itertools.count())
    import tensorflow as tf

    return tf.data.Dataset.from_tensors(batch).repeat()


def trained(make, devices, optimizer):
    """Logs, predictions and weights after a few steps; valid is a batch of fewer than devices."""
    keras.utils.set_random_seed(0)
    with shared_among(devices):
        model, batch = make()
        model.compile(optimizer(), jit_compile=BACKEND == "jax")
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
        if BACKEND == "jax":
            model.jax_state_sync()
        predicted = model.predict(stream(two), steps=1, verbose=0)
        if BACKEND == "tensorflow":  # Elsewhere frames are masked anew.
            again = model.predict_on_batch(two[0])
            for found, expected in zip(*map(keras.tree.flatten, (again, predicted)), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        for variable in model.trainable_variables:
            assert copies_of(variable) == devices
    return history, predicted, numpy_of([v.numpy() for v in model.trainable_variables])


def copies_of(variable):
    """On how many devices a variable is."""
    if BACKEND == "jax":
        return len(variable.value.sharding.device_set)
    import tensorflow as tf

    return len(tf.distribute.get_strategy().experimental_local_results(variable.value))


class Plain(SharedBatches, keras.Model):
    """With a loss of Keras' own, which divides it by the number of replicas."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.dense.build((None, 4))
        self.built = True

    def call(self, x):
        return self.dense(x)

    def compile(self, optimizer, **kwargs):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer, loss=loss, **kwargs)


def supervised():
    x = np.random.default_rng(0).normal(size=(COUNT, 4)).astype("float32")
    return Plain(), (x, np.arange(COUNT) % 2)


def descent():
    return keras.optimizers.SGD(0.1)


def clipped():
    return ClippedAdam(3e-3, global_clipnorm=1.0)


def monitored():
    return MonitoredAdamW(3e-3, global_clipnorm=1.0)


CASES = [(distillation, monitored), (pretraining, monitored)]
if BACKEND == "tensorflow":
    CASES += [(classification, clipped), (spelling, clipped), (supervised, descent)]


@pytest.mark.parametrize(("make", "optimizer"), CASES)
def test_several_devices_do_what_one_does(make, optimizer):
    alone = trained(make, 1, optimizer)
    shared = trained(make, DEVICES, optimizer)
    assert alone[0].keys() == shared[0].keys() >= {"loss", "val_loss"}
    for name, values in alone[0].items():
        np.testing.assert_allclose(shared[0][name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    for expected, found in zip(
        keras.tree.flatten(alone[1:]), keras.tree.flatten(shared[1:]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)
    assert keras.distribution.distribution() is None


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
class TestReplicas:
    """What is of `tf.distribute` alone."""

    @pytest.fixture
    def distiller(self):
        with shared_among(DEVICES):
            model, batch = distillation()
            model.compile(monitored())
            yield model, batch

    def test_draw_differently(self, distiller):
        import tensorflow as tf

        model, batch = distiller
        model.fit(stream(batch), steps_per_epoch=1, verbose=0)
        seeds = [v for v in model.variables if v.name == "seed_generator_state"]
        results = tf.distribute.get_strategy().experimental_local_results
        for seed in seeds:
            first, *others = (tuple(copy.numpy()) for copy in results(seed.value))
            assert len({first, *others}) == DEVICES
            # The rest follows from the first, which is what a checkpoint keeps.
            seed.assign(first)
            assert {tuple(copy.numpy()) for copy in results(seed.value)} == {first}

    def test_need_batches_that_they_can_share(self, distiller):
        import tensorflow as tf

        model, batch = distiller
        three = keras.tree.map_structure(lambda x: x[:3], batch)
        for unknown in (False, True):
            batches = stream(three)
            if unknown:
                signature = keras.tree.map_structure(
                    lambda x: tf.TensorSpec([None] * x.ndim, x.dtype), three
                )
                batches = tf.data.Dataset.from_generator(
                    lambda: iter([three]), output_signature=signature
                )
            with pytest.raises(
                (ValueError, tf.errors.InvalidArgumentError), match="evenly among 2 devices"
            ):
                model.fit(batches, steps_per_epoch=1, verbose=0)
        for use in (model.fit, model.evaluate, model.predict):
            with pytest.raises(TypeError, match="share a `tf.data.Dataset` .* got dict"):
                use(batch[0])

    def test_accumulate_no_gradients(self, distiller):
        model, batch = distiller
        model.compile(MonitoredAdamW(1e-3, gradient_accumulation_steps=2))
        with pytest.raises(ValueError, match="larger, or use JAX"):
            model.fit(stream(batch), steps_per_epoch=1, verbose=0)

    def test_know_how_many_batches_there_are(self, distiller, recwarn):
        import tensorflow as tf

        model, batch = distiller
        three = keras.tree.map_structure(lambda x: x[:3], batch)
        batches = tf.data.Dataset.from_tensors(batch).concatenate(
            tf.data.Dataset.from_tensors(batch)
        )
        valid = tf.data.Dataset.from_tensors(three)
        model.fit(batches, validation_data=valid, epochs=2, verbose=0)
        assert int(model.optimizer.iterations.numpy()) == 4
        assert model.predict(valid, verbose=0)["mask"].shape[0] == 3
        assert not [w for w in recwarn if "ran out of data" in str(w.message)]
