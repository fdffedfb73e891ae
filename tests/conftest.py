"""Settings of every test: quiet, and one seed."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests compare numbers: TensorFlow's oneDNN kernels round differently from run to run.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import keras
import pytest


@pytest.fixture(autouse=True)
def _fixed_seed_and_policy():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
