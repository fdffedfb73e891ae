"""Gradients and compilation, alike on the three backends."""

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
# Of `compile`, for tests of a few steps: tracing TensorFlow's graph takes longer than they do,
# and JAX is slow without its compiler.
QUICK = {"run_eagerly": BACKEND == "tensorflow", "jit_compile": BACKEND == "jax"}

# Numbers of devices that share batches in tests of runs, and draw as one device does.
DEVICES = (1, 2) if BACKEND == "jax" else (1,)
# The same, whatever they draw.
MOST_DEVICES = 1 if BACKEND == "torch" else 2


def gradient(function, x):
    """Gradient of a scalar `function` at the array `x`."""
    x = np.asarray(x, "float32")
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    if BACKEND == "torch":
        tensor = ops.convert_to_tensor(x).clone().requires_grad_(True)
        value = function(tensor)
        if value.requires_grad:
            value.backward()
        return np.zeros_like(x) if tensor.grad is None else tensor.grad.cpu().numpy()
    import tensorflow as tf

    tensor = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = function(tensor)
    gradient = tape.gradient(value, tensor)
    return np.zeros_like(x) if gradient is None else tf.convert_to_tensor(gradient).numpy()


def compiled(function):
    """`function` under the backend's compiler (XLA; on torch, which has none here, as it is)."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


def finite_differences(function, x, epsilon=1e-3):
    """Central differences of a scalar `function` at `x`, one entry at a time."""
    x = np.asarray(x, "float64")
    slopes = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[index] = epsilon
        slopes[index] = (function(x + step) - function(x - step)) / (2 * epsilon)
    return slopes


def numpy_of(x):
    """Any nest of tensors as NumPy arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, x)
