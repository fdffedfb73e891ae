"""Reading models from files that may be broken, or made to harm."""

import contextlib
import json
import numbers
import os
import pathlib

import numpy as np
from keras import ops

# No published encoder of speech or text comes near; building each layer takes a while.
_MOST_LAYERS = 1_000
# The least that a weight takes, in 16 bit.
_BYTES_OF_WEIGHT = 2
_GIGABYTE = 1e9


@contextlib.contextmanager
def reading(path, arguments=None):
    """Turn whatever reading a model's files raises into a `ValueError` that names them.

    A missing package or file and a lack of memory stay what they are, and so do all errors if the
    path is no local one.

    Args:
        path: path of the file or folder.
        arguments: dict of what the caller gave beside, which may be what is wrong.

    Example:

    ```python
    with reading(folder):
        backbone = keras_hub.models.BertBackbone.from_preset(folder)
    ```
    """
    try:
        yield
    except (ImportError, MemoryError, FileNotFoundError):
        raise
    except Exception as error:
        is_named = str(path) in str(error) and isinstance(error, ValueError | OSError)
        # The present folder's name is a dot, which stands in most messages.
        if not os.path.exists(path) or (is_named and pathlib.Path(path).parts):
            raise
        reason = str(error).strip().split("\n")[0] or "no reason given"
        given = f" with the arguments {arguments}" if arguments else ""
        raise ValueError(
            f"{path} cannot be read{given}: {reason} ({type(error).__name__})."
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


def is_count(value):
    """Whether a value, of whatever kind, is a positive whole number."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value > 0


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
            f"16 bit; this machine has {there / _GIGABYTE:,.0f} GB of memory."
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
