import pytest
import tensorflow as tf

from pad_keras import gpus
from tests.backend import BACKEND


def test_tensorflow_sees_gpus_as_backend_alone(monkeypatch):
    hidden = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *given: hidden.append(given))
    gpus.leave_to_backend()
    assert hidden == ([] if BACKEND == "tensorflow" else [([], "GPU")])


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow computes")
def test_devices_that_are_in_use_stay(monkeypatch):
    def refuse(*given):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    gpus.leave_to_backend()
