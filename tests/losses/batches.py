"""Ragged batches of units, padded with garbage, and the utterances that they hold."""

import numpy as np

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
