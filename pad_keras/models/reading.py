"""Reading models from files that may be broken, or made to harm."""

import contextlib
import json
import os

import numpy as np
from keras import ops

# No published encoder of speech or text comes near; building each layer takes a while.
_MOST_LAYERS = 1_000
_BYTES_OF_WEIGHT = 4
_GIGABYTE = 1e9


@contextlib.contextmanager
def reading(path):
    """Turn whatever reading a model's files raises into a `ValueError` that names them.

    Errors of a missing package or file stay what they are, if they name it.

    Args:
        path: path of the file or folder.

    Example:

    ```python
    with reading(folder):
        backbone = keras_hub.models.BertBackbone.from_preset(folder)
    ```
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        if str(path) in str(error) and isinstance(error, ValueError | OSError):
            raise
        reason = str(error).strip().split("\n")[0] or "no reason given"
        raise ValueError(
            f"{path} cannot be read as a model, it is broken or of another kind: {reason} "
            f"({type(error).__name__})."
        ) from error


def read_json(path):
    """An object in a JSON file.

    Args:
        path: `pathlib.Path`.

    Returns:
        dict.

    Raises:
        ValueError: naming the file, if it holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is broken: {error}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, and holds {type(value).__name__}.")
    return value


def check_sizes(num_layers, parameters):
    """Refuse a model that this machine cannot hold, before memory is taken for it.

    Args:
        num_layers: int.
        parameters: int, number of weights.

    Raises:
        ValueError: naming what is too large.
    """
    if num_layers > _MOST_LAYERS:
        raise ValueError(f"`num_layers` must be at most {_MOST_LAYERS}, got {num_layers}.")
    needed, there = parameters * _BYTES_OF_WEIGHT, memory_bytes()
    if there is not None and needed > there:
        raise ValueError(
            f"A model of these sizes has {parameters:,} weights, {needed / _GIGABYTE:,.0f} GB in "
            f"float32; this machine has {there / _GIGABYTE:,.0f} GB of memory."
        )


def memory_bytes():
    """Memory of this machine.

    Returns:
        int, bytes; `None` where the system does not tell.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_finite(model, path):
    """Refuse weights that are no numbers: every output would be none.

    Args:
        model: `keras.Model`, its weights as they were read.
        path: path of the files, for the message.

    Raises:
        ValueError: naming the first such weight.
    """
    for weight in model.weights:
        values = ops.convert_to_numpy(ops.cast(weight, "float32"))
        if not np.isfinite(values).all():
            raise ValueError(f"{path} is broken: the weight {weight.path} holds NaN or infinity.")
