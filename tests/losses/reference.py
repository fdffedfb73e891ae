"""The formulas of PAD as slow, explicit loops over one utterance at a time, in float64."""

import math

import numpy as np


def significance_prior(layers, padding, units=None):
    """P of one utterance from maps [H, Q, K]; `padding` and `units` are lists of bools."""
    units = padding if units is None else units
    prior = np.zeros(len(padding))
    for scores in layers:
        received = np.zeros(len(padding))
        for k in range(len(padding)):
            if not padding[k]:
                continue
            for q in range(len(padding)):
                if padding[q]:
                    for head in range(scores.shape[0]):
                        received[k] += float(scores[head, q, k]) / scores.shape[0]
        prior += received / received.sum() / len(layers)
    prior[~np.asarray(units)] = 0.0
    return prior / prior.sum()


def anchor_count(n, m, per_unit):
    return min(n, max(1, math.floor(per_unit * m + 0.5)))


def significant_anchors(prior, k, radius):
    """The k best frames, best first; the earlier one on a tie."""
    scores = []
    for i in range(len(prior)):
        window = prior[max(0, i - radius) : i + radius + 1]
        scores.append(prior[i] if prior[i] >= max(window) else prior[i] - 1)
    return sorted(range(len(prior)), key=lambda i: (-scores[i], i))[:k]


def even_anchors(n, k):
    return [math.floor((j + 0.5) * n / k) for j in range(k)]


def spans(anchors, n, m, scales):
    result = []
    for anchor in anchors:
        for scale in scales:
            width = max(1, math.floor(scale * n / m + 0.5))
            start = anchor - math.floor((width - 1) / 2)
            result.append((max(0, start), min(n, start + width)))
    return result


def pool(frames, start, end, weights=None):
    total, mass = np.zeros(frames.shape[1]), 0.0
    for i in range(start, end):
        weight = 1.0 if weights is None else float(weights[i])
        total += weight * frames[i]
        mass += weight
    return total / mass


def cosine(a, b):
    lengths = [np.linalg.norm(x) for x in (a, b)]
    return float(np.dot(a, b) / np.prod(lengths)) if min(lengths) > 1e-6 else 0.0


def centred(units):
    mean = np.zeros(units.shape[1])
    for unit in units:
        mean += unit / len(units)
    return np.stack([unit - mean for unit in units])


def maximum(values, softness=0.0):
    """The greatest of values, or their mean weighted by their softmax."""
    if softness == 0:
        return max(values)
    shares = [math.exp((value - max(values)) / softness) for value in values]
    return sum(s * v for s, v in zip(shares, values, strict=True)) / sum(shares)


def alignment(units, text, weights, softness=0.0):
    """- sum_j w_j max_i cos(unit_i, text_j) of one utterance."""
    total = 0.0
    for weight, token in zip(weights, text, strict=True):
        total -= weight * maximum([cosine(unit, token) for unit in units], softness)
    return total


def info_nce(scores, texts, temperature, symmetric=True):
    """Of scores, speech by text; utterances of one text are no negatives of each other."""
    total, batch = 0.0, len(scores)
    for b in range(batch):
        others = [c for c in range(batch) if c == b or texts[c] != texts[b]]
        directions = [[scores[b][c] for c in others]]
        if symmetric:
            directions.append([scores[c][b] for c in others])
        for candidates in directions:
            mass = sum(math.exp(score / temperature) for score in candidates)
            total -= math.log(math.exp(scores[b][b] / temperature) / mass) / len(directions)
    return total / batch


def pooled(units, weights):
    total = np.zeros(units.shape[1])
    for weight, unit in zip(weights, units, strict=True):
        total += weight * unit
    return total


def distance(a, b, kind):
    if kind == "l1":
        return sum(abs(x - y) for x, y in zip(a, b, strict=True))
    if kind == "l2":
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return 1.0 - cosine(a, b)
