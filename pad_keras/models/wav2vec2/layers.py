"""What stands between the feature encoder and the transformer: masking and positions."""

import keras
from keras import ops

from pad_keras.models.wav2vec2.convolutions import grouped_conv

BATCH_NORM_EPSILON = 1e-5
FRAME_NORM_EPSILON = 1e-5


def normalize_frames(x):
    """Give each frame zero mean and unit variance over its channels: a layer norm without weights.

    Computed in float32.

    Args:
        x: `[..., channels]`.

    Returns:
        The same shape and dtype.

    Reference:
        SUPERB's reference code (s3prl), its option to normalise an upstream's features.
    """
    normalized = ops.layer_normalization(
        ops.cast(x, "float32"), axis=-1, epsilon=FRAME_NORM_EPSILON
    )
    return ops.cast(normalized, x.dtype)


def random_spans(batch, size, prob, length, seed):
    """Draw spans of positions.

    Args:
        batch: int or scalar tensor.
        size: int or scalar tensor, positions.
        prob: float in [0, 1), expected share of positions in a span.
        length: int, positions of a span.
        seed: `keras.random.SeedGenerator`.

    Returns:
        `[batch, size]` bool, true with probability `prob` in runs of at least `length` (cut at
        the edges).
    """
    # A position is masked if a span starts in it or in one of the `length - 1` before it,
    # virtual ones before the first included, so that the edges are masked as often.
    start_prob = 1.0 - (1.0 - prob) ** (1.0 / length)
    draws = keras.random.uniform((batch, size + length - 1), seed=seed)
    starts = ops.cast(draws < start_prob, "int32")
    before = ops.pad(ops.cumsum(starts, axis=1), ((0, 0), (1, 0)))
    return before[:, length:] > before[:, :size]


@keras.saving.register_keras_serializable(package="pad_keras")
class SpecAugment(keras.layers.Layer):
    """Masks random spans of frames and of channels in training.

    A span starts at each position with a fixed probability, chosen so that the expected share of
    masked positions is the asked one; spans may overlap. (The reference draws a number of spans
    instead; Bernoulli starts need no loop and are alike for every length. Our choice.) Masked
    frames become one learnt vector, masked channels zero.

    Args:
        time_prob: float in [0, 1), expected share of masked frames.
        time_length: int, frames of a span.
        feature_prob: float in [0, 1), expected share of masked channels.
        feature_length: int, channels of a span.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: `[batch, frames, channels]`.
        masked: `[batch, frames]` bool, the frames to mask, in and out of training; by default
            they are drawn in training.

    Returns:
        The same shape.

    Reference:
        SpecAugment (arXiv 1904.08779); wav2vec 2.0 (arXiv 2006.11477), section 3.1 and 4.3.

    Example:

    ```python
    masked = SpecAugment(time_prob=0.05)(keras.ops.ones((2, 100, 64)), training=True)
    ```
    """

    def __init__(
        self, time_prob=0.0, time_length=10, feature_prob=0.0, feature_length=10, **kwargs
    ):
        super().__init__(**kwargs)
        self.time_prob = time_prob
        self.time_length = time_length
        self.feature_prob = feature_prob
        self.feature_length = feature_length
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, x_shape, masked_shape=None):
        """Create the vector that stands for a masked frame."""
        # Always there, masking or not, so that a checkpoint's vector is never lost.
        self.mask_embedding = self.add_weight(
            name="mask_embedding",
            shape=(x_shape[-1],),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            # Unused it would have no gradient, and optimizers warn of that.
            trainable=self.time_prob > 0,
        )

    def call(self, x, masked=None, training=None):
        """Mask; see the class for the arguments."""
        batch, frames, channels = ops.shape(x)
        if masked is None and training and self.time_prob > 0:
            masked = self.time_spans(batch, frames)
        if masked is not None:
            x = ops.where(masked[:, :, None], ops.cast(self.mask_embedding, x.dtype), x)
        if training and self.feature_prob > 0:
            channel_mask = random_spans(
                batch, channels, self.feature_prob, self.feature_length, self.seed_generator
            )
            x = ops.where(channel_mask[:, None, :], ops.zeros((), x.dtype), x)
        return x

    def time_spans(self, batch, frames):
        """Draw the frames to mask.

        Args:
            batch: int or scalar tensor.
            frames: int or scalar tensor.

        Returns:
            `[batch, frames]` bool.
        """
        return random_spans(batch, frames, self.time_prob, self.time_length, self.seed_generator)

    def compute_output_shape(self, x_shape, masked_shape=None):
        """Shape of the input."""
        return x_shape

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "time_prob": self.time_prob,
            "time_length": self.time_length,
            "feature_prob": self.feature_prob,
            "feature_length": self.feature_length,
        }


@keras.saving.register_keras_serializable(package="pad_keras")
class PositionalConvEmbedding(keras.layers.Layer):
    """Adds a grouped convolution of the frames to them: relative positions.

    Frames past the end are zeroed first. The kernel is weight-normalised with one gain a tap, or,
    in one HuBERT variant, plain with a batch norm before it.

    Args:
        kernel_size: int, taps. With an even kernel the frames see one more frame to the left.
        groups: int, divides the width.
        batch_norm: bool, whether a batch norm takes the place of the weight norm.
        over_real_frames: bool, whether padding stays zero after the batch norm, so that a frame
            does not depend on padding. The reference leaves the norm's offset there.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: `[batch, frames, width]`.
        frame_mask: `[batch, frames]` bool, true at real frames.

    Returns:
        `[batch, frames, width]`.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 2 and 4.2; weight norm (arXiv 1602.07868).

    Example:

    ```python
    embed = PositionalConvEmbedding(kernel_size=16, groups=4)
    y = embed(keras.ops.ones((1, 30, 64)), keras.ops.ones((1, 30), "bool"))
    ```
    """

    def __init__(
        self, kernel_size=128, groups=16, batch_norm=False, over_real_frames=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.groups = groups
        self.batch_norm = batch_norm
        self.over_real_frames = over_real_frames
        self.normalization = None
        if batch_norm:
            # PyTorch's momentum 0.1 is 0.9 here.
            self.normalization = keras.layers.BatchNormalization(
                epsilon=BATCH_NORM_EPSILON, momentum=0.9, dtype=self.dtype_policy
            )

    def build(self, x_shape, frame_mask_shape=None):
        """Create kernel, gain and bias."""
        width = x_shape[-1]
        deviation = 2.0 / (self.kernel_size * width) ** 0.5
        # Normalised in float32 whatever the compute dtype.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, width // self.groups, width),
            initializer=keras.initializers.RandomNormal(stddev=deviation),
            autocast=False,
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")
        self.gain = None
        if self.batch_norm:
            self.normalization.build(x_shape)
        else:
            # The expected norm of a tap, so that training starts from the drawn kernel's scale.
            norm = deviation * (width * width / self.groups) ** 0.5
            self.gain = self.add_weight(
                name="gain",
                shape=(self.kernel_size,),
                initializer=keras.initializers.Constant(norm),
                autocast=False,
            )

    def call(self, x, frame_mask, training=None):
        """Add the positional embedding; see the class for the arguments."""
        is_real = ops.cast(frame_mask, "bool")[:, :, None]
        x = ops.where(is_real, x, ops.zeros((), x.dtype))
        positions = x
        if self.batch_norm:
            mask = frame_mask if self.over_real_frames else None
            positions = self.normalization(x, mask=mask, training=training)
            if self.over_real_frames:
                positions = ops.where(is_real, positions, ops.zeros((), x.dtype))
        # An even kernel gives one frame too many with equal padding: the last one is not computed.
        left = self.kernel_size // 2
        positions = ops.pad(positions, ((0, 0), (left, self.kernel_size - 1 - left), (0, 0)))
        positions = grouped_conv(positions, ops.cast(self._weight(), x.dtype), self.groups)
        return x + ops.gelu(positions + self.bias, approximate=False)

    def _weight(self):
        """The kernel `[taps, width / groups, width]`, normalised to one gain a tap."""
        kernel = ops.convert_to_tensor(self.kernel)
        if self.gain is None:
            return kernel
        norm = ops.sqrt(ops.sum(ops.square(kernel), axis=(1, 2), keepdims=True))
        return kernel * (ops.convert_to_tensor(self.gain)[:, None, None] / norm)

    def compute_output_shape(self, x_shape, frame_mask_shape=None):
        """Shape of the input."""
        return x_shape

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "batch_norm": self.batch_norm,
            "over_real_frames": self.over_real_frames,
        }
