"""How much memory training a speech encoder takes, told before it is taken."""

import math

from pad_keras.models.wav2vec2.convolutions import frame_counts

_BYTES_OF_GRADIENT = 4
_BYTES_OF_SCORE = 4
# Outputs of the width of the frames that a layer's backward pass reads: its input, queries, keys,
# values, context, both sums and the norm between them.
_FRAME_TENSORS = 8
# Before and after GELU.
_INTERMEDIATE_TENSORS = 2


def training_bytes(backbone, batch_size, samples, from_frames=False):
    """Least memory that an update takes beyond the weights: what its backward pass must keep.

    That is, of each transformer layer (with `gradient_checkpointing`: of one, and the inputs of
    all), what enters its matrix products, norms and softmax; of a front end that is trained the
    outputs of its convolutions, norms and activations; and the gradients. What a backend needs on
    top, such as gradients of activations, is not counted: wav2vec2-base took 1.2 to 2 times as
    much (experiments/benchmarks/checkpointing.py).

    Args:
        backbone: `Wav2Vec2Backbone`.
        batch_size: int, utterances.
        samples: int, of the longest utterance of the batch, at 16 kHz.
        from_frames: bool, whether the front end's frames are read from a cache.

    Returns:
        int, bytes.

    Example:

    ```python
    training_bytes(Wav2Vec2Backbone.from_preset("base"), batch_size=8, samples=15 * 16000) / 1e9
    ```
    """
    itemsize = _itemsize(backbone.compute_dtype)
    lengths = _lengths(backbone, samples)
    total = _gradient_bytes(backbone)
    forward = 0
    if not from_frames:
        sizes = [
            length * filters for length, filters in zip(lengths, backbone.conv_filters, strict=True)
        ]
        if backbone.feature_encoder.trainable:
            total += batch_size * itemsize * sum(_kept_front_end(backbone, sizes))
        else:
            # Nothing of it is kept, but an activation is computed from another.
            forward = 2 * batch_size * itemsize * max(sizes)
    return total + max(forward, batch_size * _kept_layers(backbone, lengths[-1], itemsize))


def _kept_front_end(backbone, sizes):
    """Numbers that each convolution's backward pass reads."""
    for index, size in enumerate(sizes):
        has_norm = backbone.conv_norm == "layer" or index == 0
        yield size * (3 if has_norm else 2)


def _kept_layers(backbone, frames, itemsize):
    """Bytes of an utterance that the transformer's backward pass reads."""
    width = frames * backbone.hidden_dim
    maps = backbone.num_heads * frames**2
    layer = _BYTES_OF_SCORE * maps + itemsize * (
        _FRAME_TENSORS * width + _INTERMEDIATE_TENSORS * frames * backbone.intermediate_dim
    )
    if backbone.gradient_checkpointing:
        return backbone.num_layers * itemsize * width + layer
    return backbone.num_layers * layer


def _gradient_bytes(backbone):
    return _BYTES_OF_GRADIENT * sum(
        math.prod(weight.shape) for weight in backbone.trainable_weights
    )


def _lengths(backbone, samples):
    """Number of outputs of each convolution."""
    kernels, strides = backbone.conv_kernels, backbone.conv_strides
    return [
        max(0, frame_counts(samples, kernels[:depth], strides[:depth]))
        for depth in range(1, len(kernels) + 1)
    ]


def _itemsize(dtype):
    return 2 if dtype in ("float16", "bfloat16") else 4
