"""What the backends differ in."""

import keras


def resolve_jit(jit_compile):
    """Resolve `None`: TensorFlow's kernels beat XLA on a CPU; torch needs a C++ compiler.

    Args:
        jit_compile: bool or `None`.

    Returns:
        bool, as `compile` takes it.
    """
    if jit_compile is not None:
        return jit_compile
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return backend == "jax"
