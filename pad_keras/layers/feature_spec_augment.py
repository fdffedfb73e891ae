"""SUPERB's SpecAugment of encoder features: a time warp, masked channels and masked frames."""

import keras
from keras import ops

from pad_keras.losses.functional import take_frames

# Of the cubic kernel; PyTorch's choice, -0.5 is as common.
CUBIC_SLOPE = -0.75


@keras.saving.register_keras_serializable(package="pad_keras")
class FeatureSpecAugment(keras.layers.Layer):
    """Warps the time of features and masks spans of channels and of frames, in training.

    Of an utterance of t frames, in this order:

    - Time warp, if `t > 2 * window`: a frame c of `[window, t - window)` is drawn and a frame w of
      `[c - window, c + window)`; the first c frames are resized to `w + 1` and the others to
      `t - w - 1`, by cubic interpolation.
    - Channel masks: a fixed number, each of `[0, channel_mask_width)` channels.
    - Time masks: `min(max_time_masks, floor(ratio * t))`, each of
      `[0, min(max_time_mask_width, floor(ratio * t)))` frames.

    All draws are uniform integers, spans may overlap, and what is masked becomes 0. The reference
    takes t of the time masks to be the padded length of the batch and keeps as much room behind
    every start as the batch's widest mask needs; here each utterance's length and each mask's width
    count, so that padding has no influence (our choice).

    Args:
        time_warp_window: int >= 0, frames by which a frame may move; 0 turns the warp off.
        channel_masks: int >= 0, masks over channels of each utterance.
        channel_mask_width: int >= 0, bound of their width, exclusive. The default suits 768
            channels; of far fewer it may leave none.
        time_mask_ratio: float in [0, 1], of the number of frames: masks over frames, and bound of
            their width, exclusive.
        max_time_masks: int >= 0, most masks over frames of an utterance.
        max_time_mask_width: int >= 0, bound of their width whatever the ratio, exclusive.
        seed: int, of the draws. Defaults to a random one.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        features: `[batch, frames, dim]`.
        mask: `[batch, frames]`, true where a frame is real; real frames come first. Defaults to
            all.

    Returns:
        `[batch, frames, dim]`, 0 where the mask is false; the features as they are outside of
        training.

    Raises:
        ValueError: for a value out of range.

    Reference:
        SpecAugment (arXiv 1904.08779); its adaptive masks (arXiv 1912.05533); SUPERB
        (arXiv 2105.01051), slot filling.

    Example:

    ```python
    augment = FeatureSpecAugment(channel_mask_width=10)
    augmented = augment(keras.ops.ones((2, 100, 64)), training=True)
    ```
    """

    def __init__(
        self,
        time_warp_window=5,
        channel_masks=4,
        channel_mask_width=50,
        time_mask_ratio=0.04,
        max_time_masks=20,
        max_time_mask_width=40,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        whole_numbers = {
            "time_warp_window": time_warp_window,
            "channel_masks": channel_masks,
            "channel_mask_width": channel_mask_width,
            "max_time_masks": max_time_masks,
            "max_time_mask_width": max_time_mask_width,
        }
        for name, value in whole_numbers.items():
            if value < 0 or int(value) != value:
                raise ValueError(
                    f"`{name}` must be a whole number >= 0 (0 turns that part off), got {value}."
                )
        if not 0 <= time_mask_ratio <= 1:
            raise ValueError(
                "`time_mask_ratio` is a share of the frames and must lie in [0, 1] (0 turns time "
                f"masks off), got {time_mask_ratio}."
            )
        self.time_warp_window = int(time_warp_window)
        self.channel_masks = int(channel_masks)
        self.channel_mask_width = int(channel_mask_width)
        self.time_mask_ratio = float(time_mask_ratio)
        self.max_time_masks = int(max_time_masks)
        self.max_time_mask_width = int(max_time_mask_width)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, features, mask=None, training=None):
        """Augment in training; see the class for the arguments."""
        if not training:
            return features
        batch, frames, dim = ops.shape(features)
        mask = ops.ones((batch, frames), "bool") if mask is None else ops.cast(mask, "bool")
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        if self.time_warp_window:
            features = warp_time(features, lengths, *self.warps(lengths))
        return mask_spans(features, mask, self.channel_spans(batch, dim), self.time_spans(lengths))

    def warps(self, lengths):
        """Draw the time warp of each utterance.

        Args:
            lengths: `[batch]` int32, real frames.

        Returns:
            `(centers, warped)`, each `[batch]` int32, arguments of `warp_time`; both 0 for an
            utterance too short to be warped.
        """
        window = self.time_warp_window
        shape = ops.shape(lengths)
        centers = self._integers(shape, window, lengths - window)
        warped = self._integers(shape, centers - window, centers + window) + 1
        is_warped = lengths > 2 * window
        return ops.where(is_warped, centers, 0), ops.where(is_warped, warped, 0)

    def channel_spans(self, batch, dim):
        """Draw the masks over channels of each utterance.

        Args:
            batch: int, utterances.
            dim: int, channels.

        Returns:
            `(starts, widths)`, each `[batch, channel_masks]` int32.
        """
        shape = (batch, self.channel_masks)
        widths = self._integers(shape, 0, self.channel_mask_width)
        return self._integers(shape, 0, dim - widths), widths

    def time_spans(self, lengths):
        """Draw the masks over frames of each utterance.

        Args:
            lengths: `[batch]` int32, real frames.

        Returns:
            `(starts, widths)`, each `[batch, max_time_masks]` int32; an utterance with fewer masks
            has others of width 0.
        """
        share = ops.floor(self.time_mask_ratio * ops.cast(lengths, "float32"))
        share = ops.cast(share, "int32")[:, None]
        # As many draws for every length: an utterance's masks do not depend on its neighbours.
        shape = (ops.shape(lengths)[0], self.max_time_masks)
        widths = self._integers(shape, 0, ops.minimum(share, self.max_time_mask_width))
        is_mask = ops.arange(self.max_time_masks, dtype="int32")[None, :] < share
        widths = ops.where(is_mask, widths, 0)
        return self._integers(shape, 0, lengths[:, None] - widths), widths

    def _integers(self, shape, low, high):
        """Draw integers of `[low, high)`."""
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return uniform_integers(draws, low, high)

    def compute_output_shape(self, features_shape):
        """Shape of the features."""
        return features_shape

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "time_warp_window": self.time_warp_window,
            "channel_masks": self.channel_masks,
            "channel_mask_width": self.channel_mask_width,
            "time_mask_ratio": self.time_mask_ratio,
            "max_time_masks": self.max_time_masks,
            "max_time_mask_width": self.max_time_mask_width,
            "seed": self.seed,
        }


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
