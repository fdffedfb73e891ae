"""What the backends differ in."""

import keras

_MOST_STEPS_AT_ONCE = 50


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


def steps_at_once(steps):
    """How many steps of a small model to run without returning to Python between them.

    A small head computes for a millisecond and waits for Python for several. TensorFlow alone
    gains: JAX loops in Python, and torch refuses.

    Args:
        steps: int, of an epoch.

    Returns:
        int that divides `steps`, as `compile` takes it for `steps_per_execution`.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    return max(n for n in range(1, _MOST_STEPS_AT_ONCE + 1) if steps % n == 0)
