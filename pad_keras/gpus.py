"""Whose the GPUs are."""

import keras


def leave_to_backend():
    """Keep TensorFlow off the GPUs where it reads the input alone, and JAX or torch computes.

    TensorFlow takes the whole memory of each GPU that it sees, at its first operation. A program
    that has used TensorFlow before, and chosen its devices, keeps them.
    """
    if keras.backend.backend() == "tensorflow":
        return
    try:
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
    except (ImportError, RuntimeError):
        # It is not there, or it is too late: its devices are in use.
        return
