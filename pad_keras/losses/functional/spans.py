"""Anchor-based Adaptive Span Aggregation (AASA): anchors, spans around them, pooled spans."""

import functools
import math

from keras import ops

NO_ANCHOR = -1
# Text units whose anchors are counted in double precision; a text encoder takes 512 tokens.
_COUNTED_EXACTLY = 1024
# More than what float32 loses of a span's width, so that what is half a frame over rounds up.
_ROUNDING = 4e-7


def anchor_counts(frame_counts, unit_counts, anchors_per_unit=2.0):
    """Number of anchors of each utterance.

    `k = min(n, max(1, floor(a * m + 0.5)))` for n frames, m text units, a anchors per unit.

    Args:
        frame_counts: `[batch]` valid frames n.
        unit_counts: `[batch]` valid text units m.
        anchors_per_unit: float, a.

    Returns:
        `[batch]` int32.

    Reference:
        PAD (arXiv 2303.03600), AASA; the count is our choice.

    Example:

    ```python
    anchor_counts([100, 3], [10, 10])  # [20, 3]
    ```
    """
    unit_counts = ops.cast(unit_counts, "int32")
    # In float32 a count would differ now and then from `most_anchors`, and so with the padding.
    table = ops.convert_to_tensor(_anchor_table(anchors_per_unit), "int32")
    exact = ops.take(table, ops.clip(unit_counts, 0, _COUNTED_EXACTLY))
    wanted = ops.floor(ops.cast(unit_counts, "float32") * anchors_per_unit + 0.5)
    wanted = ops.where(unit_counts > _COUNTED_EXACTLY, ops.cast(wanted, "int32"), exact)
    return ops.minimum(ops.cast(frame_counts, "int32"), wanted)


@functools.cache
def _anchor_table(anchors_per_unit):
    return [most_anchors(units, anchors_per_unit) for units in range(_COUNTED_EXACTLY + 1)]


def most_anchors(units, anchors_per_unit=2.0):
    """Number of anchors where there are frames enough: `max(1, floor(a * m + 0.5))`.

    Args:
        units: int, text units m.
        anchors_per_unit: float, a.

    Returns:
        int.

    Example:

    ```python
    most_anchors(15, 2.1)  # 32
    ```
    """
    return max(1, math.floor(anchors_per_unit * units + 0.5))


def select_anchors(significance, mask, counts, radius=2, max_anchors=None):
    """The most significant frames, local maxima first.

    A frame scores its significance if that is the maximum within `radius` frames on either side,
    else its significance minus 1; the `counts` best scores are the anchors. On a tie the earlier
    frame wins, on every backend.

    Args:
        significance: `[batch, frames]`, a row sums to 1 over valid frames.
        mask: `[batch, frames]`, true where a frame is real.
        counts: `[batch]` int, anchors wanted of each utterance (see `anchor_counts`).
        radius: int, half width in frames of the window of a local maximum.
        max_anchors: int, static width K of the result, at least the largest count. Defaults to
            the number of frames.

    Returns:
        `[batch, K]` int32 frame indices, best first; -1 past an utterance's count.

    Reference:
        PAD (arXiv 2303.03600), AASA.

    Example:

    ```python
    significance = keras.ops.array([[0.1, 0.5, 0.1, 0.3]])
    select_anchors(significance, keras.ops.ones((1, 4)), [2], radius=1)  # [[1, 3, -1, -1]]
    ```
    """
    is_valid = ops.cast(mask, "bool")
    # A prior lies in [0, 1], so -1 and less can never be a maximum or beat a valid frame.
    values = ops.where(is_valid, ops.cast(significance, "float32"), -1.0)
    is_peak = values >= _windowed_maximum(values, radius)
    # Maxima, then other frames, then padding. Nothing is taken off a score, which in float32
    # would lose the digits by which frames differ.
    rank = ops.where(is_valid, ops.where(is_peak, 0, 1), 2)
    # Stable ascending sorts, of the negated scores first, put the earlier frame first on a tie.
    by_score = ops.argsort(-values, axis=-1)
    by_rank = ops.argsort(ops.take_along_axis(rank, by_score, axis=-1), axis=-1)
    order = ops.cast(ops.take_along_axis(by_score, by_rank, axis=-1), "int32")
    if max_anchors is not None:
        order = order[:, :max_anchors]
    valid_counts = ops.sum(ops.cast(is_valid, "int32"), axis=-1)
    return _keep_first(order, ops.minimum(ops.cast(counts, "int32"), valid_counts))


def even_anchors(mask, counts, max_anchors=None):
    """Evenly strided anchors: the ablation of significant ones.

    Anchor j of k lies at frame `floor((j + 1/2) n / k)`, the middle of the j-th of k equal parts
    of the n valid frames (our choice). Valid frames are taken to come first, as in speech.

    Args:
        mask: `[batch, frames]`, true where a frame is real.
        counts: `[batch]` int, anchors wanted of each utterance.
        max_anchors: int, static width K of the result. Defaults to the number of frames.

    Returns:
        `[batch, K]` int32 frame indices in time order; -1 past an utterance's count.

    Example:

    ```python
    even_anchors(keras.ops.ones((1, 8)), [2])  # [[2, 6, -1, -1, -1, -1, -1, -1]]
    ```
    """
    mask = ops.cast(mask, "bool")
    frame_counts = ops.sum(ops.cast(mask, "int32"), axis=-1)
    counts = ops.minimum(ops.cast(counts, "int32"), frame_counts)
    width = ops.shape(mask)[1] if max_anchors is None else max_anchors
    ranks = ops.arange(width, dtype="int32")[None, :]
    # Integer arithmetic: (2j + 1) n // 2k is exact where a float product could round.
    positions = ((2 * ranks + 1) * frame_counts[:, None]) // ops.maximum(2 * counts[:, None], 1)
    return _keep_first(positions, counts)


def anchor_spans(anchors, frame_counts, unit_counts, scales=(0.5, 1.0, 2.0)):
    """Spans around anchors, as wide as a text unit lasts, at several scales.

    With `xi = n / m` frames per text unit, scale z gives the width `w = max(1, floor(z xi + 1/2))`
    and the span `[c - floor((w - 1) / 2), ... + w)` about anchor c, cut to `[0, n)`.

    Args:
        anchors: `[batch, K]` int32 frame indices, -1 where there is none.
        frame_counts: `[batch]` valid frames n.
        unit_counts: `[batch]` valid text units m.
        scales: sequence of floats, z.

    Returns:
        `(starts, ends)`, each `[batch, K * len(scales)]` int32, the scales of one anchor side by
        side; `start == end == 0` for a missing anchor. Ends are exclusive.

    Reference:
        PAD (arXiv 2303.03600), AASA; the rounding is our choice.

    Example:

    ```python
    anchor_spans([[5]], [20], [5], scales=(0.5, 1.0))  # ([[5, 4]], [[7, 8]])
    ```
    """
    anchors = ops.cast(anchors, "int32")
    frame_counts = ops.cast(frame_counts, "int32")
    units = ops.maximum(ops.cast(unit_counts, "float32"), 1.0)
    frames_per_unit = ops.cast(frame_counts, "float32") / units
    widths = frames_per_unit[:, None] * ops.convert_to_tensor(scales, "float32")
    widths = ops.floor(widths * (1.0 + _ROUNDING) + 0.5)
    widths = ops.maximum(ops.cast(widths, "int32"), 1)[:, None, :]
    starts = anchors[:, :, None] - (widths - 1) // 2
    limits = frame_counts[:, None, None]
    is_anchor = (anchors >= 0)[:, :, None]
    ends = ops.where(is_anchor, ops.clip(starts + widths, 0, limits), 0)
    starts = ops.where(is_anchor, ops.clip(starts, 0, limits), 0)
    flat = (-1, anchors.shape[1] * len(scales)) if anchors.shape[1] else (ops.shape(anchors)[0], -1)
    return ops.reshape(starts, flat), ops.reshape(ends, flat)


def pool_spans(x, starts, ends, weights=None):
    """Mean of the frames of each span, by prefix sums.

    The cost does not depend on how long spans are, and nothing of shape
    `[batch, spans, width, dim]` is made. Positions outside all spans have no influence.

    Args:
        x: `[batch, frames, dim]`.
        starts: `[batch, spans]` int, first frame of each span.
        ends: `[batch, spans]` int, one past the last frame.
        weights: `[batch, frames]` non-negative weights of the frames. Defaults to a plain mean.
            Prefix sums keep seven digits of a row's whole weight: where one frame has 0.995 of it,
            the means of the others are inexact by some hundredths.

    Returns:
        `[batch, spans, dim]` float32; zeros for an empty span.

    Reference:
        PAD (arXiv 2303.03600), AASA.

    Example:

    ```python
    x = keras.ops.reshape(keras.ops.arange(4.0), (1, 4, 1))
    pool_spans(x, [[0, 2]], [[2, 4]])  # [[[0.5], [2.5]]]
    ```
    """
    starts, ends = ops.cast(starts, "int32"), ops.cast(ends, "int32")
    x = ops.cast(x, "float32")
    widths = ops.cast(ends - starts, "float32")[:, :, None]
    is_empty = widths <= 0
    # Prefix sums lose digits as they grow. Accumulating differences from the first frame (always
    # a real one) keeps the part that all frames share out of the sums.
    origin = x[:, :1]
    centred = x - origin
    if weights is None:
        mean = span_sums(centred, starts, ends) / ops.where(is_empty, 1.0, widths)
    else:
        weights = ops.cast(weights, "float32")[:, :, None]
        base = weights[:, :1]
        mass = span_sums(weights - base, starts, ends) + base * widths
        has_mass = mass > 0
        mean = span_sums(weights * centred, starts, ends) / ops.where(has_mass, mass, 1.0)
        is_empty = ops.logical_or(is_empty, ops.logical_not(has_mass))
    return ops.where(is_empty, 0.0, mean + origin)


def span_sums(x, starts, ends):
    """Sum of the frames of each span, by prefix sums.

    Args:
        x: `[batch, frames, dim]` float32.
        starts: `[batch, spans]` int32.
        ends: `[batch, spans]` int32, exclusive.

    Returns:
        `[batch, spans, dim]` float32.

    Example:

    ```python
    span_sums(keras.ops.ones((1, 4, 1)), [[0]], [[3]])  # [[[3.0]]]
    ```
    """
    starts, ends = ops.cast(starts, "int32"), ops.cast(ends, "int32")
    prefix = ops.pad(ops.cumsum(x, axis=1), [[0, 0], [1, 0], [0, 0]])
    return take_frames(prefix, ends) - take_frames(prefix, starts)


def word_spans(is_piece, continues):
    """Spans of the word pieces of each word.

    Args:
        is_piece: `[batch, tokens]` bool, true where a token is a word piece.
        continues: `[batch, tokens]` bool, true where a piece continues the word before it. One
            that follows no piece, but a special token, begins a word.

    Returns:
        `(starts, ends)`, each `[batch, tokens]` int32, words first and in order; `start == end`
        where there is no further word. Ends are exclusive.

    Example:

    ```python
    # [CLS] walk ##ing dog [SEP]
    word_spans([[0, 1, 1, 1, 0]], [[0, 0, 1, 0, 0]])  # words at 1 to 3 and 3 to 4
    ```
    """
    is_piece, continues = ops.cast(is_piece, "bool"), ops.cast(continues, "bool")
    follows_piece = ops.pad(ops.cast(is_piece, "int32"), [[0, 0], [1, 0]])[:, :-1] > 0
    continues = ops.logical_and(continues, follows_piece)
    is_start = ops.logical_and(is_piece, ops.logical_not(continues))
    # The special tokens that follow a word are counted with it, but only its pieces are in it.
    word = (ops.cumsum(ops.cast(is_start, "int32"), axis=-1) - 1)[:, None, :]
    words = ops.arange(ops.shape(is_piece)[1], dtype="int32")[None, :, None]
    starts = ops.sum(ops.cast(word < words, "int32"), axis=-1)
    is_own = ops.logical_and(is_piece[:, None, :], ops.equal(word, words))
    return starts, starts + ops.sum(ops.cast(is_own, "int32"), axis=-1)


def take_frames(x, indices):
    """Frames by their indices, an utterance at a time.

    Args:
        x: `[batch, frames, dim]`.
        indices: `[batch, taken]` int32, each from 0 to `frames - 1`.

    Returns:
        `[batch, taken, dim]`.
    """
    batch, frames, dim = ops.shape(x)
    # One gather from the flattened rows: `take_along_axis` would spread the indices over `dim`.
    offsets = ops.arange(batch, dtype="int32")[:, None] * frames
    return ops.take(ops.reshape(x, (batch * frames, dim)), indices + offsets, axis=0)


def _windowed_maximum(values, radius):
    """Maximum of `values` [batch, frames] within `radius` frames on either side."""
    if radius == 0:
        return values
    padded = ops.pad(values, [[0, 0], [radius, radius]], constant_values=-2.0)
    frames = ops.shape(values)[1]
    maximum = values
    for shift in range(2 * radius + 1):
        maximum = ops.maximum(maximum, padded[:, shift : shift + frames])
    return maximum


def _keep_first(anchors, counts):
    """Replace all but the first `counts` [batch] entries of each row by `NO_ANCHOR`."""
    ranks = ops.arange(ops.shape(anchors)[1], dtype="int32")[None, :]
    return ops.where(ranks < counts[:, None], anchors, NO_ANCHOR)
