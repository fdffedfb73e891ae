"""What HuBERT's and wav2vec 2.0's pretraining minimise."""

from keras import ops

from pad_keras.losses.functional.alignment import unit_vectors


def cosine_logits(x, prototypes, temperature):
    """Cosine of vectors and prototypes over a temperature.

    Args:
        x: `[..., dim]`.
        prototypes: `[prototypes, dim]`.
        temperature: float.

    Returns:
        `[..., prototypes]` float32.

    Reference:
        HuBERT (arXiv 2106.07447), equation 3.
    """
    return ops.matmul(unit_vectors(x), ops.transpose(unit_vectors(prototypes))) / temperature


def masked_cross_entropy(logits, targets, masked):
    """Mean cross-entropy of the masked frames.

    Args:
        logits: `[batch, frames, classes]`.
        targets: `[batch, frames]` int; any value where `masked` is false.
        masked: `[batch, frames]` bool.

    Returns:
        Scalar float32; 0 if no frame is masked.

    Reference:
        HuBERT (arXiv 2106.07447), equation 1, with alpha = 1.
    """
    masked = ops.cast(masked, "bool")
    targets = ops.where(masked, ops.cast(targets, "int32"), 0)
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    chosen = ops.take_along_axis(log_probabilities, targets[:, :, None], axis=-1)[:, :, 0]
    weights = ops.cast(masked, "float32")
    return -ops.sum(chosen * weights) / ops.maximum(ops.sum(weights), 1.0)
