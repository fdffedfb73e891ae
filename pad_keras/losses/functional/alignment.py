"""Distances and similarities between speech units and text units."""

from keras import ops

from pad_keras.losses.functional.significance import uniform_weights

# Smallest norm that a cosine divides by: below it a vector counts as zero.
NORM_EPSILON = 1e-6
# What stands for the logarithm of nothing: its exponential is 0, and differences stay finite.
LOG_ZERO = -1e9


def valid_units(x, mask):
    """Units with padding emptied, so that not even NaN in it reaches a value or a gradient.

    Args:
        x: `[batch, units, dim]`.
        mask: `[batch, units]`, true where a unit is real.

    Returns:
        `[batch, units, dim]` float32, zeros at padding.

    Example:

    ```python
    valid_units([[[1.0], [float("nan")]]], [[1, 0]])  # [[[1.0], [0.0]]]
    ```
    """
    return ops.where(ops.cast(mask, "bool")[:, :, None], ops.cast(x, "float32"), 0.0)


def centre_units(x, mask):
    """Subtract from each unit the mean unit of its utterance.

    What remains is what tells the units of one utterance apart. The mean is uniform whatever the
    units weigh: under a prior that sits on one unit, that unit would be left with nothing.

    Args:
        x: `[batch, units, dim]`.
        mask: `[batch, units]`, true where a unit is real.

    Returns:
        `[batch, units, dim]` float32, zeros at padding and where an utterance has one unit.

    Example:

    ```python
    centre_units([[[1.0], [3.0], [9.0]]], [[1, 1, 0]])  # [[[-1.0], [1.0], [0.0]]]
    ```
    """
    mean = weighted_mean(x, uniform_weights(mask))[:, None, :]
    return valid_units(valid_units(x, mask) - mean, mask)


def weighted_mean(x, weights):
    """Weighted sum of units, the utterance's embedding when the weights sum to 1.

    Args:
        x: `[batch, units, dim]`.
        weights: `[batch, units]`; a unit of weight 0 never contributes, whatever it holds.

    Returns:
        `[batch, dim]` float32.

    Reference:
        PAD (arXiv 2303.03600), global alignment.

    Example:

    ```python
    weighted_mean([[[1.0], [3.0]]], [[0.5, 0.5]])  # [[2.0]]
    ```
    """
    weights = ops.cast(weights, "float32")[:, :, None]
    x = ops.where(weights != 0, ops.cast(x, "float32"), 0.0)
    return ops.sum(weights * x, axis=1)


def unit_vectors(x):
    """Scale vectors along the last axis to length 1; a zero vector stays zero.

    Args:
        x: `[..., dim]`.

    Returns:
        `[..., dim]` float32.

    Example:

    ```python
    unit_vectors([3.0, 4.0])  # [0.6, 0.8]
    ```
    """
    x = ops.cast(x, "float32")
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # Nor does a zero vector get a gradient: that of the root is infinite there.
    is_zero = squared <= NORM_EPSILON**2
    return ops.where(is_zero, 0.0, x * ops.rsqrt(ops.where(is_zero, 1.0, squared)))


def similarity_matrix(units, text_units):
    """Cosine similarity of every speech unit with every text unit.

    Args:
        units: `[batch, units, dim]` speech units (frames or pooled spans).
        text_units: `[batch, text_units, dim]`.

    Returns:
        `[batch, units, text_units]` float32.

    Example:

    ```python
    similarity_matrix([[[1.0, 0.0]]], [[[0.0, 2.0], [3.0, 0.0]]])  # [[[0.0, 1.0]]]
    ```
    """
    return ops.matmul(unit_vectors(units), ops.transpose(unit_vectors(text_units), (0, 2, 1)))


def maximum_similarity(similarity, unit_mask, softness=0.0):
    """Maximum of similarities over the valid speech units, hard or soft.

    The soft form is the mean of the similarities weighted by their softmax,
    `sum_i p_i c_i, p = softmax(c / softness)`. It never leaves the range of the similarities and
    tends to the maximum as `softness` falls and to the plain mean as it grows. A log-sum-exp would
    exceed the maximum by up to `softness ln(units)`, so that long utterances would score better
    than short ones. Units that are worse than this mean by more than `softness` are pushed away.

    Args:
        similarity: `[batch, units, columns]`.
        unit_mask: `[batch, units]`, true where a speech unit is real.
        softness: float >= 0, temperature of the soft maximum; 0 is the hard one.

    Returns:
        `[batch, columns]` float32; -1, the least cosine, where no speech unit is real.

    Reference:
        PAD (arXiv 2303.03600) takes the hard maximum; the soft one is our choice.

    Example:

    ```python
    maximum_similarity([[[0.2], [0.8]]], [[1, 1]])  # [[0.8]]
    maximum_similarity([[[0.2], [0.8]]], [[1, 1]], softness=0.6)  # [[0.64]]
    ```
    """
    is_valid = ops.cast(unit_mask, "bool")[:, :, None]
    similarity = ops.cast(similarity, "float32")
    if not softness:
        # -2 loses against every cosine; -1 is what remains if none is valid.
        return ops.maximum(ops.max(ops.where(is_valid, similarity, -2.0), axis=1), -1.0)
    similarity = ops.where(is_valid, similarity, 0.0)
    weights = ops.softmax(ops.where(is_valid, similarity / softness, LOG_ZERO), axis=1)
    mean = ops.sum(weights * similarity, axis=1)
    return ops.where(ops.any(is_valid, axis=1), mean, -1.0)


def best_similarity(units, unit_mask, text_units, softness=0.0):
    """For every text unit, the cosine of the speech unit that matches it best.

    Args:
        units: `[batch, units, dim]` speech units (frames or pooled spans).
        unit_mask: `[batch, units]`, true where a speech unit is real.
        text_units: `[batch, text_units, dim]`.
        softness: float >= 0, temperature of a soft maximum; see `maximum_similarity`.

    Returns:
        `[batch, text_units]` float32; -1 where no speech unit is real.

    Reference:
        PAD (arXiv 2303.03600), token and span alignment.

    Example:

    ```python
    best = best_similarity(frames, frame_mask, tokens)  # [batch, tokens]
    ```
    """
    units = valid_units(units, unit_mask)
    return maximum_similarity(similarity_matrix(units, text_units), unit_mask, softness)


def alignment_loss(best, weights):
    """Negative weighted mean over text units of their best similarities, meaned over the batch.

    `L = - mean_b sum_j w_j best_j`.

    Args:
        best: `[batch, text_units]`, see `best_similarity`.
        weights: `[batch, text_units]`, a row sums to 1; 0 where a text unit is padding.

    Returns:
        Scalar float32, between -1 and 1.

    Reference:
        PAD (arXiv 2303.03600), token and span alignment.

    Example:

    ```python
    alignment_loss([[0.5, 1.0]], [[0.5, 0.5]])  # -0.75
    ```
    """
    best, weights = ops.cast(best, "float32"), ops.cast(weights, "float32")
    best = ops.where(weights != 0, best, 0.0)
    return -ops.mean(ops.sum(weights * best, axis=-1))


def l1_distance(a, b):
    """Sum over the last axis of absolute differences: `||a - b||_1`.

    Args:
        a: `[..., dim]`.
        b: `[..., dim]`.

    Returns:
        `[...]` float32.

    Example:

    ```python
    l1_distance([1.0, 2.0], [0.0, 0.0])  # 3.0
    ```
    """
    return ops.sum(ops.abs(ops.cast(a, "float32") - ops.cast(b, "float32")), axis=-1)


def squared_distance(a, b):
    """Sum over the last axis of squared differences: `||a - b||_2^2`.

    Args:
        a: `[..., dim]`.
        b: `[..., dim]`.

    Returns:
        `[...]` float32.

    Example:

    ```python
    squared_distance([1.0, 2.0], [0.0, 0.0])  # 5.0
    ```
    """
    return ops.sum(ops.square(ops.cast(a, "float32") - ops.cast(b, "float32")), axis=-1)


def cosine_distance(a, b):
    """One minus the cosine along the last axis.

    Args:
        a: `[..., dim]`.
        b: `[..., dim]`.

    Returns:
        `[...]` float32, between 0 and 2.

    Example:

    ```python
    cosine_distance([1.0, 0.0], [0.0, 1.0])  # 1.0
    ```
    """
    return 1.0 - ops.sum(unit_vectors(a) * unit_vectors(b), axis=-1)
