"""What a model's variables say in the middle of `fit`."""

import keras
from keras import ops


def optimizer_scalars(model):
    """Learning rate and, of a `MonitoredAdamW`, gradient norm as they are now.

    Args:
        model: compiled `keras.Model`, in or after `fit`.

    Returns:
        Dict of floats.
    """
    sync_state(model)
    optimizer = model.optimizer
    values = {"learning_rate": float(ops.convert_to_numpy(optimizer.learning_rate))}
    # Loss scaling wraps the optimizer that was given.
    monitored = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(monitored, "gradient_norm"):
        values["gradient_norm"] = float(ops.convert_to_numpy(monitored.gradient_norm))
    return values


def sync_state(model):
    """Bring a model's variables up to date inside `fit`: JAX keeps them elsewhere meanwhile.

    Args:
        model: `keras.Model`.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
