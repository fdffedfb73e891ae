"""How much memory training a speech encoder takes, told before it is taken."""

import itertools
import math

from pad_keras.models.wav2vec2.convolutions import frame_counts

_BYTES_OF_GRADIENT = 4
# Of AdamW's two moments.
_BYTES_OF_MOMENTS = 8
_BYTES_OF_SCORE = 4
# Outputs of the width of the frames that a layer's backward pass reads: its input, queries, keys,
# values, context, both sums and the norm between them.
_FRAME_TENSORS = 8
# Before and after GELU.
_INTERMEDIATE_TENSORS = 2
# What enters a convolution's norm or GELU, and what leaves that; XLA may compute a norm again.
_CONVOLUTION_TENSORS = 2


def training_bytes(backbone, batch_size, samples, from_frames=False, has_moments=False):
    """Least memory that an update takes beyond the weights: what its backward pass must keep.

    That is, of each transformer layer (with `gradient_checkpointing`: of one, and the inputs of
    all), what enters its matrix products, norms and softmax, and the gradient of one layer's
    attention map; of a front end that is trained, the outputs of its convolutions and activations;
    and AdamW's moments. The gradients of the weights come while all that goes: they count where
    they are more. What else a backend needs, such as gradients of activations, does not count.

    Args:
        backbone: `Wav2Vec2Backbone`.
        batch_size: int, utterances.
        samples: int, of the longest utterance of the batch, at 16 kHz.
        from_frames: bool, whether the front end's frames are read from a cache.
        has_moments: bool, whether the optimizer's moments are there already.

    Returns:
        int, bytes.

    Example:

    ```python
    training_bytes(Wav2Vec2Backbone.from_preset("base"), batch_size=8, samples=15 * 16000) / 1e9
    ```
    """
    itemsize = 2 if backbone.compute_dtype in ("float16", "bfloat16") else 4
    lengths = _lengths(backbone, samples)
    kept = batch_size * _kept_by_layers(backbone, lengths[-1], itemsize)
    if not from_frames:
        sizes = [n * filters for n, filters in zip(lengths, backbone.conv_filters, strict=True)]
        if backbone.feature_encoder.trainable:
            kept += batch_size * itemsize * _CONVOLUTION_TENSORS * sum(sizes)
        else:
            # Nothing of it is kept, but one convolution reads what another wrote.
            widest = max(sum(pair) for pair in itertools.pairwise([samples, *sizes]))
            kept = max(kept, batch_size * itemsize * widest)
    weights = sum(math.prod(weight.shape) for weight in backbone.trainable_weights)
    moments = 0 if has_moments else _BYTES_OF_MOMENTS * weights
    return max(kept, _BYTES_OF_GRADIENT * weights) + moments


def _kept_by_layers(backbone, frames, itemsize):
    """Bytes of an utterance that the transformer's backward pass reads, and a map's gradient."""
    width = frames * backbone.hidden_dim
    scores = _BYTES_OF_SCORE * backbone.num_heads * frames**2
    layer = scores + itemsize * (
        _FRAME_TENSORS * width + _INTERMEDIATE_TENSORS * frames * backbone.intermediate_dim
    )
    if backbone.gradient_checkpointing:
        return backbone.num_layers * itemsize * width + layer + scores
    return backbone.num_layers * layer + scores


def _lengths(backbone, samples):
    """Number of outputs of each convolution."""
    kernels, strides = backbone.conv_kernels, backbone.conv_strides
    return [
        max(0, frame_counts(samples, kernels[:depth], strides[:depth]))
        for depth in range(1, len(kernels) + 1)
    ]
