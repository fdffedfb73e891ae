"""What a model's variables say in the middle of `fit`."""

import keras
from keras import ops


def optimizer_scalars(model):
    """Learning rate and, of a `MonitoredAdamW`, what it has noted of gradients, as they are now.

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
    for name in ("gradient_norm", "nonfinite_gradients"):
        if hasattr(monitored, name):
            values[name] = float(ops.convert_to_numpy(getattr(monitored, name)))
    return values


def sync_state(model):
    """Bring a model's variables up to date inside `fit`: JAX keeps them elsewhere meanwhile.

    Args:
        model: `keras.Model`.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
