"""Settings of every test: quiet, and one seed."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests compare numbers: TensorFlow's oneDNN kernels round differently from run to run.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        # For the tests of data-parallel training JAX takes the processor for three devices.
        "--xla_force_host_platform_device_count=3",
        # The tests compile much and compute little: this halves the time of JAX's.
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    )
)
import keras
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # As above, for TensorFlow.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
    )


@pytest.fixture(autouse=True)
def _fixed_seed_and_policy():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
