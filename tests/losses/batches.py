"""Ragged batches of units, padded with garbage, and the utterances that they hold."""

import keras
import numpy as np
from keras import ops

from tests.backend import compiled, gradient

# (frames, text units): ordinary, a single token, a single frame, fewer frames than anchors.
SIZES = ((20, 6), (13, 4), (11, 1), (1, 3), (3, 5))


def prior(rng, length):
    weights = rng.random(length) + 0.05
    return weights / weights.sum()


def utterances(dim=8, sizes=SIZES, seed=0):
    """List of (speech, text) dicts of one unpadded utterance each, float64."""
    rng = np.random.default_rng(seed)
    result = []
    for n, m in sizes:
        speech = {"embeddings": rng.normal(size=(n, dim)), "significance": prior(rng, n)}
        text = {
            "embeddings": rng.normal(size=(m, dim)),
            "significance": prior(rng, m),
            "idf": prior(rng, m),
            "cls": rng.normal(size=dim),
        }
        result.append((speech, text))
    return result


def batch(utterances, extra=3, garbage=1e3):
    """Pad utterances into (teacher units, student units) of NumPy arrays."""
    speech = _pad([speech for speech, _ in utterances], extra, garbage)
    text = _pad([text for _, text in utterances], extra, garbage)
    return text, speech


def value_of(loss, utterances, **kwargs):
    """Loss of a padded batch of utterances, as a float."""
    return float(loss.compute_loss(*batch(utterances, **kwargs)))


def speech_gradient(loss, text_units, speech_units, key="embeddings", at=None):
    """Gradient of a loss by an entry of the speech units, where it is or at another value."""

    def value(x):
        return loss.compute_loss(text_units, {**speech_units, key: x})

    return gradient(value, speech_units[key] if at is None else at)


def compiled_and_eager(loss, utterances):
    """Loss of a batch under the backend's compiler, and without it."""
    text_units, speech_units = keras.tree.map_structure(ops.convert_to_tensor, batch(utterances))
    fast = compiled(loss.compute_loss)(text_units, speech_units)
    return float(fast), float(loss.compute_loss(text_units, speech_units))


def reloaded(loss):
    """The loss, serialised and back."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))


def _pad(items, extra, garbage):
    length = max(len(item["embeddings"]) for item in items) + extra
    units = {"mask": np.zeros((len(items), length), bool)}
    for row, item in enumerate(items):
        units["mask"][row, : len(item["embeddings"])] = True
    for key in items[0]:
        if key == "cls":
            units[key] = np.stack([item[key] for item in items]).astype("float32")
            continue
        shape = (len(items), length, *items[0][key].shape[1:])
        padded = np.full(shape, garbage if key == "embeddings" else 0.0, "float32")
        for row, item in enumerate(items):
            padded[row, : len(item[key])] = item[key]
        units[key] = padded
    return units
