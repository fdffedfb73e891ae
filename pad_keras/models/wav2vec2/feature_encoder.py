"""Convolutional front end of wav2vec 2.0: raw waveform to frames."""

import keras
from keras import ops

from pad_keras.models.wav2vec2.convolutions import (
    ConvBlock,
    frame_counts,
    receptive_field,
    sequence_mask,
)

# Of the reference's feature extractor.
WAVEFORM_NORM_EPSILON = 1e-7


def normalize_waveform(waveform, padding_mask):
    """Give each utterance zero mean and unit variance over its real samples.

    Args:
        waveform: `[batch, samples]` float32, zero at padding.
        padding_mask: `[batch, samples]` bool, true at real samples.

    Returns:
        `[batch, samples]` float32, zero at padding.

    Reference:
        The feature extractor of the reference implementation (`do_normalize`).
    """
    count = ops.maximum(ops.sum(ops.cast(padding_mask, "float32"), axis=1, keepdims=True), 1.0)
    centred = waveform - ops.sum(waveform, axis=1, keepdims=True) / count
    centred = ops.where(padding_mask, centred, 0.0)
    variance = ops.sum(ops.square(centred), axis=1, keepdims=True) / count
    return centred * ops.rsqrt(variance + WAVEFORM_NORM_EPSILON)


@keras.saving.register_keras_serializable(package="pad_keras")
class FeatureEncoder(keras.layers.Layer):
    """Stack of convolutions from waveform to frames, with the frames' mask.

    What lies in padded samples, NaN and infinity included, has no influence. Frozen
    (`trainable = False`), no gradient is computed through it.

    Args:
        filters: output channels of each convolution.
        kernels: kernel size of each convolution.
        strides: stride of each convolution.
        norm: `"group"` (after the first convolution only) or `"layer"` (after each).
        use_bias: bool, whether convolutions have a bias.
        over_real_frames: bool, whether the group norm's statistics leave padding out.
        normalize: bool, whether to give each utterance zero mean and unit variance first.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        waveform: `[batch, samples]` float32.
        padding_mask: `[batch, samples]`, true (or 1) at real samples, which come first.

    Returns:
        Frames `[batch, frames, filters[-1]]` and their mask `[batch, frames]` bool. A frame is
        real if all the samples that it sees are.

    Raises:
        ValueError: if the waveform is shorter than one frame.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 2 and 4.2.

    Example:

    ```python
    encoder = FeatureEncoder((64, 64), (10, 3), (5, 2), norm="layer")
    frames, mask = encoder(keras.ops.ones((1, 800)), keras.ops.ones((1, 800), "bool"))
    ```
    """

    def __init__(
        self,
        filters,
        kernels,
        strides,
        norm="group",
        use_bias=False,
        over_real_frames=True,
        normalize=False,
        **kwargs,
    ):
        # The waveform stays float32 until it is normalised: speech can be quiet, float16 is coarse.
        super().__init__(autocast=False, **kwargs)
        self.filters = tuple(filters)
        self.kernels = tuple(kernels)
        self.strides = tuple(strides)
        self.norm = norm
        self.use_bias = use_bias
        self.over_real_frames = over_real_frames
        self.normalize = normalize
        self.blocks = [
            ConvBlock(
                filters=self.filters[i],
                kernel_size=self.kernels[i],
                stride=self.strides[i],
                use_bias=use_bias,
                norm=norm if norm == "layer" or i == 0 else None,
                over_real_frames=over_real_frames,
                dtype=self.dtype_policy,
                name=f"conv_{i}",
            )
            for i in range(len(self.filters))
        ]

    def build(self, waveform_shape, padding_mask_shape=None):
        """Build every convolution."""
        channels = 1
        for block in self.blocks:
            block.build((waveform_shape[0], None, channels))
            channels = block.filters

    def call(self, waveform, padding_mask):
        """Compute frames and mask; see the class for the arguments."""
        self._check_shapes(waveform.shape, padding_mask.shape)
        valid = ops.cast(padding_mask, "bool")
        # `where`, not a product: NaN times zero is NaN.
        waveform = ops.where(valid, ops.cast(waveform, "float32"), 0.0)
        if self.normalize:
            waveform = normalize_waveform(waveform, valid)
        x = ops.cast(waveform, self.compute_dtype)[:, :, None]
        counts = ops.sum(ops.cast(valid, "int32"), axis=1)
        for block in self.blocks:
            counts = frame_counts(counts, (block.kernel_size,), (block.stride,))
            counts = ops.maximum(counts, 0)
            x = block(x, counts)
        if not self.trainable:
            x = ops.stop_gradient(x)
        return x, sequence_mask(counts, ops.shape(x)[1])

    def _check_shapes(self, waveform_shape, mask_shape):
        """Refuse what would give no frame or spread a mask; what is not known passes."""
        for size, other in zip(waveform_shape, mask_shape, strict=False):
            if None not in (size, other) and size != other:
                raise ValueError(
                    f"`padding_mask` {tuple(mask_shape)} must have the shape of `waveform` "
                    f"{tuple(waveform_shape)}."
                )
        samples = waveform_shape[1]
        shortest = receptive_field(self.kernels, self.strides)
        if samples is not None and samples < shortest:
            raise ValueError(
                f"`waveform` has {samples} samples; one frame needs at least {shortest}. Pad the "
                "waveform (and its `padding_mask` with zeros) or drop the utterance."
            )

    def compute_output_spec(self, waveform, padding_mask):
        """Shapes and dtypes of frames and mask."""
        batch, samples = waveform.shape
        frames = None if samples is None else frame_counts(samples, self.kernels, self.strides)
        return (
            keras.KerasTensor((batch, frames, self.filters[-1]), dtype=self.compute_dtype),
            keras.KerasTensor((batch, frames), dtype="bool"),
        )

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernels": self.kernels,
            "strides": self.strides,
            "norm": self.norm,
            "use_bias": self.use_bias,
            "over_real_frames": self.over_real_frames,
            "normalize": self.normalize,
        }
