"""SUPERB's SpecAugment of encoder features: a time warp, masked channels and masked frames."""

import keras
from keras import ops

from pad_keras.layers.augmentation import mask_spans, uniform_integers, warp_time


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
