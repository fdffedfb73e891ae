"""The mathematics of SpecAugment on features, given its random draws."""

from keras import ops

from pad_keras.losses.functional import take_frames

# Of the cubic kernel; PyTorch's choice, -0.5 is as common.
CUBIC_SLOPE = -0.75


def uniform_integers(draws, low, high):
    """Integers of a range, from uniform draws.

    Args:
        draws: float32 in [0, 1), any shape.
        low: int32, broadcast to the shape of `draws`; first of the range.
        high: int32, likewise; one past the last.

    Returns:
        int32, as `draws`; `low` where the range is empty.

    Example:

    ```python
    uniform_integers(keras.ops.array([0.0, 0.5, 0.99]), 2, 6)  # [2, 4, 5]
    ```
    """
    low, high = ops.cast(low, "int32"), ops.cast(high, "int32")
    count = ops.maximum(high - low, 1)
    ranks = ops.cast(ops.floor(draws * ops.cast(count, "float32")), "int32")
    # A product that rounds up must not leave the range.
    return low + ops.minimum(ranks, count - 1)


def mask_spans(features, mask, channel_spans, time_spans):
    """Set spans of channels, spans of frames and what is not real to 0.

    Args:
        features: `[batch, frames, dim]`.
        mask: `[batch, frames]` bool, true where a frame is real.
        channel_spans: tuple of starts and widths, each `[batch, spans]` int32 in channels.
        time_spans: tuple of starts and widths, each `[batch, spans]` int32 in frames.

    Returns:
        `[batch, frames, dim]`.

    Example:

    ```python
    no_spans = keras.ops.zeros((1, 1), "int32"), keras.ops.zeros((1, 1), "int32")
    mask = keras.ops.array([[True, False]])
    mask_spans(keras.ops.ones((1, 2, 1)), mask, no_spans, no_spans)  # [[[1.0], [0.0]]]
    ```
    """
    _, frames, dim = ops.shape(features)
    kept_frames = ops.logical_and(mask, ops.logical_not(span_mask(*time_spans, frames)))
    kept_channels = ops.logical_not(span_mask(*channel_spans, dim))
    kept = ops.logical_and(kept_frames[:, :, None], kept_channels[:, None, :])
    return ops.where(kept, features, ops.zeros((), features.dtype))


def span_mask(starts, widths, size):
    """Positions that lie in any of several spans.

    Args:
        starts: `[batch, spans]` int32, first position of each span.
        widths: `[batch, spans]` int32, 0 for a span of nothing.
        size: int, number of positions.

    Returns:
        `[batch, size]` bool.

    Example:

    ```python
    starts, widths = keras.ops.array([[0, 3]]), keras.ops.array([[1, 2]])
    span_mask(starts, widths, 6)  # [[True, False, False, True, True, False]]
    ```
    """
    positions = ops.arange(size, dtype="int32")
    starts, ends = starts[:, :, None], (starts + widths)[:, :, None]
    return ops.any(ops.logical_and(positions >= starts, positions < ends), axis=1)


def warp_time(features, lengths, centers, warped):
    """Resize the first frames of each utterance to another number of frames, and the rest too.

    Each of the two pieces is resized by cubic interpolation of its own frames, the first and last
    of them repeated beyond its ends. The time of an utterance stays as it is where
    `centers == warped`.

    Args:
        features: `[batch, frames, dim]`.
        lengths: `[batch]` int32, real frames, which come first; others have no influence.
        centers: `[batch]` int32, frames of the first piece.
        warped: `[batch]` int32, frames that it becomes. A piece that is empty before must be so
            after.

    Returns:
        `[batch, frames, dim]` in the dtype of the features, computed in float32. Past an
        utterance's length it holds frames without a meaning.

    Reference:
        SpecAugment (arXiv 1904.08779), time warping; Keys, Cubic convolution interpolation for
        digital image processing, 1981.

    Example:

    ```python
    ramp = keras.ops.reshape(keras.ops.arange(6.0), (1, 6, 1))
    warp_time(ramp, *map(keras.ops.array, ([6], [2], [4])))  # the first two frames over four
    ```
    """
    frames = ops.arange(ops.shape(features)[1], dtype="int32")[None, :]
    lengths, centers, warped = (
        ops.cast(counts, "int32")[:, None] for counts in (lengths, centers, warped)
    )
    is_first = frames < warped
    first = ops.where(is_first, 0, centers)
    last = ops.where(is_first, centers, lengths) - 1
    old_size = last + 1 - first
    # Sizes of 0 have padding only.
    new_size = ops.maximum(ops.where(is_first, warped, lengths - warped), 1)
    rank = ops.where(is_first, frames, frames - warped)
    # Frame j of a piece lies at (j + 1/2) old / new - 1/2 of the old one: the middles of first and
    # last frames are as far from the ends. Integers keep the nearest frames and a piece whose size
    # stays exact.
    position = (2 * rank + 1) * old_size - new_size
    below = position // (2 * new_size)
    rest = position - below * (2 * new_size)
    fraction = ops.cast(rest, "float32") / ops.cast(2 * new_size, "float32")
    result = 0.0
    for tap, weights in zip((-1, 0, 1, 2), cubic_weights(fraction), strict=True):
        # In this order an empty utterance reads frame 0, not -1.
        indices = ops.maximum(ops.minimum(first + below + tap, last), first)
        taken = ops.cast(take_frames(features, indices), "float32")
        result = result + weights[:, :, None] * taken
    return ops.cast(result, features.dtype)


def cubic_weights(fraction):
    """Weights of the four samples around a point in cubic interpolation.

    Args:
        fraction: float32 in [0, 1], distance from the second sample to the point.

    Returns:
        Tuple of four float32 of the same shape, which sum to 1.

    Reference:
        Keys, Cubic convolution interpolation for digital image processing, 1981.

    Example:

    ```python
    cubic_weights(keras.ops.array([0.0, 0.5]))  # [0, -3/32], [1, 19/32], [0, 19/32], [0, -3/32]
    ```
    """
    rest = 1.0 - fraction
    return (
        _outer_weight(fraction),
        _inner_weight(fraction),
        _inner_weight(rest),
        _outer_weight(rest),
    )


def _inner_weight(distance):
    """Cubic kernel at a distance of [0, 1]."""
    return ((CUBIC_SLOPE + 2.0) * distance - (CUBIC_SLOPE + 3.0)) * distance * distance + 1.0


def _outer_weight(excess):
    """Cubic kernel at a distance of 1 and an excess of [0, 1]."""
    return CUBIC_SLOPE * excess * ops.square(1.0 - excess)
