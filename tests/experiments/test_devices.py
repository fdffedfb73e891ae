import functools

import keras
import pytest

from experiments import processes
from experiments.backends import has_replicas, resolve_jit, shared_among
from experiments.distillation.configuration import Configuration, Training
from experiments.pretraining.configuration import Pretraining
from experiments.understanding.configuration import Understanding
from tests.backend import BACKEND


def test_one_device_shares_nothing():
    with shared_among(1):
        assert keras.distribution.distribution() is None


@pytest.mark.skipif(BACKEND != "jax", reason="shared on JAX alone")
def test_devices_share_batches_only_within():
    with shared_among(2):
        assert keras.distribution.distribution().num_model_replicas == 2
    assert keras.distribution.distribution() is None
    with pytest.raises(ValueError, match="`devices` is 64, and jax has 3 here"), shared_among(64):
        pass


@pytest.mark.skipif(BACKEND != "jax", reason="shared on JAX alone")
def test_each_process_must_have_its_share(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    refused = pytest.raises(ValueError, match="2 processes have 3 together; .* `devices` to 3")
    with refused, shared_among(2):
        pass
    with shared_among(3):
        assert keras.distribution.distribution().num_model_replicas == 3


@pytest.mark.skipif(BACKEND != "torch", reason="the others share them")
def test_other_backends_say_what_would_do():
    with pytest.raises(ValueError, match="KERAS_BACKEND to jax or tensorflow"), shared_among(2):
        pass


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
def test_replicas_are_of_what_is_made_within():
    with shared_among(2):
        assert has_replicas()
        assert resolve_jit(None) is False
        with pytest.raises(ValueError, match="`jit_compile` is True.*KERAS_BACKEND=jax"):
            resolve_jit(True)
    assert not has_replicas()
    refused = pytest.raises(ValueError, match="`devices` is 64, and tensorflow has 3 here")
    with refused, shared_among(64):
        pass


def test_devices_that_cannot_share_a_batch_are_refused_before_a_run():
    with pytest.raises(ValueError, match="got 8 for 3 devices"):
        Training(devices=3)
    with pytest.raises(ValueError, match="got 8 for 3 devices"):
        Understanding("ic", batch_size=8, devices=3)
    for configuration in (Training, Pretraining):
        with pytest.raises(ValueError, match="`devices` must be at least 1, got 0"):
            configuration(devices=0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
@pytest.mark.parametrize("make", [Training, Pretraining, functools.partial(Understanding, "ic")])
def test_float16_is_refused_before_a_run(make):
    with pytest.raises(ValueError, match="mixed_float16.*take 'mixed_bfloat16'"):
        make(devices=2, precision="mixed_float16")
    make(precision="mixed_float16")
    make(devices=2, precision="mixed_bfloat16")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.distribute")
def test_accumulation_is_refused_before_a_run():
    for make in (
        lambda: Training(devices=2, accumulation=2),
        lambda: Understanding("er", recipe="superb", devices=2),
    ):
        with pytest.raises(ValueError, match="gradients are accumulated.*KERAS_BACKEND=jax"):
            make()


def test_the_tiny_form_has_a_batch_that_devices_can_share():
    for devices in (1, 2, 3, 8):
        training = Training(devices=devices, batch_size=24)
        tiny = Configuration(training=training, tiny=True).resolved()
        assert tiny.training.batch_size % devices == 0
