"""Whether there are GPUs, and whose they are."""

import contextlib

import keras


def has_accelerator():
    """Whether the backend computes on a GPU, or what else is no processor.

    Returns:
        bool.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import torch

    return torch.cuda.is_available()


def leave_to_backend():
    """Keep TensorFlow off the GPUs where it reads the input alone, and JAX or torch computes.

    TensorFlow takes the whole memory of each GPU that it sees, at its first operation. A program
    that has used TensorFlow before, and chosen its devices, keeps them.
    """
    if keras.backend.backend() == "tensorflow":
        return
    # TensorFlow is not there, or it is too late: its devices are in use.
    with contextlib.suppress(ImportError, RuntimeError):
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
