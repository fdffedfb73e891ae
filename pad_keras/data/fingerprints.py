"""Hashes that tell whether something kept on disk still fits what it was computed with."""

import contextlib
import hashlib
import json

import numpy as np
from keras import ops


class StaleCacheError(ValueError):
    """A cache was made by another model, of other utterances, in another format, or is damaged."""


@contextlib.contextmanager
def damage_explained(folder):
    """Turn what damage to a cache's description raises into a `StaleCacheError`.

    What the machine cannot do just now, such as opening one more file, is no damage.

    Args:
        folder: path of the cache.
    """
    try:
        yield
    except (StaleCacheError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        # NumPy's and JSON's readers raise errors of many kinds; each means the same here.
        raise StaleCacheError(
            f"The cache in {str(folder)!r} is damaged ({type(error).__name__}: {error})."
        ) from error


def text_hash(text):
    """Hash of a text.

    Args:
        text: str.

    Returns:
        str of 64 hexadecimal digits.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def weights_hash(model):
    """Hash of the values of a model's weights.

    Weights alone: the states of dropout's random generators are new in every process.

    Args:
        model: `keras.Model`.

    Returns:
        str of 64 hexadecimal digits.
    """
    hashed = hashlib.sha256()
    for weight in model.weights:
        hashed.update(np.ascontiguousarray(ops.convert_to_numpy(weight)).tobytes())
    return hashed.hexdigest()


def tokenizer_hash(tokenizer):
    """Hash of all that a tokenizer's pieces depend on.

    Args:
        tokenizer: `keras_hub.tokenizers.BertTokenizer`, or `None`.

    Returns:
        str of 64 hexadecimal digits.
    """
    if tokenizer is None:
        return text_hash("")
    settings = config_hash(tokenizer, leave_out=("vocabulary",))
    return text_hash("\n".join([settings, *tokenizer.get_vocabulary()]))


def config_hash(model, leave_out=()):
    """Hash of a model's configuration.

    Args:
        model: `keras.Model` with a `get_config`.
        leave_out: names of entries that say nothing of what the model computes. `name` and
            `dtype` always are: Keras numbers names anew in every process.

    Returns:
        str of 64 hexadecimal digits.
    """
    config = model.get_config()
    kept = {key: config[key] for key in config if key not in {"name", "dtype", *leave_out}}
    return text_hash(json.dumps(kept, sort_keys=True, default=str))
