"""What HuBERT's and wav2vec 2.0's pretraining minimise."""

from keras import ops

from pad_keras.losses.functional.alignment import LOG_ZERO, similarity_matrix, unit_vectors


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


def draw_negatives(draws, masked):
    """Choose distractors of every masked frame among the other masked frames of its utterance.

    Args:
        draws: `[batch, frames, negatives]`, uniform in [0, 1).
        masked: `[batch, frames]` bool.

    Returns:
        `[batch, frames, negatives]` int32, positions of masked frames, never the frame's own.
        They hold no meaning in rows where fewer than two frames are masked, and at frames that
        are not masked.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 3.2.
    """
    masked = ops.cast(masked, "int32")
    counts = ops.sum(masked, axis=1)[:, None, None]
    # Positions of masked frames first, in order: stable, whatever the backend's sort is.
    positions = ops.arange(ops.shape(masked)[1], dtype="int32")[None]
    order = ops.argsort(positions + (1 - masked) * ops.shape(masked)[1], axis=1)
    own_rank = (ops.cumsum(masked, axis=1) - 1)[:, :, None]
    others = ops.maximum(counts - 1, 1)
    ranks = ops.cast(ops.cast(draws, "float32") * ops.cast(others, "float32"), "int32")
    # A draw close to 1 may round up to the number itself.
    ranks = ops.minimum(ranks, others - 1)
    ranks = ops.minimum(ranks + ops.cast(ranks >= own_rank, "int32"), counts)
    batch, frames, negatives = ops.shape(draws)
    flat = ops.reshape(ranks, (batch, frames * negatives))
    chosen = ops.take_along_axis(ops.cast(order, "int32"), flat, axis=1)
    return ops.reshape(chosen, (batch, frames, negatives))


def contrastive_loss(context, quantized, codes, negatives, masked, temperature):
    """Tell a masked frame's quantized features from those of other masked frames.

    Args:
        context: `[batch, frames, dim]`, the transformer's projected output.
        quantized: `[batch, frames, dim]`, quantized features of the frames as they were.
        codes: `[batch, frames]` int; frames of one code have the same quantized features, and are
            no distractors of each other, as in the reference code. The loss is then 0 where all
            frames have one code. `None` counts all distractors, as the equation does.
        negatives: `[batch, frames, negatives]` int, as `draw_negatives` gives them.
        masked: `[batch, frames]` bool.
        temperature: float, of the cosine.

    Returns:
        Tuple of the loss, mean over masked frames of utterances that have at least two of them,
        and the share of these frames that are told right, both scalar float32.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), equation 3.
    """
    # All pairs first, then the wanted ones: [batch, frames, negatives, dim] is never made.
    similarity = similarity_matrix(context, quantized) / temperature
    batch, frames, count = ops.shape(negatives)
    distractors = ops.take_along_axis(similarity, negatives, axis=2)
    if codes is not None:
        flat = ops.reshape(negatives, (batch, frames * count))
        others = ops.reshape(ops.take_along_axis(codes, flat, axis=1), (batch, frames, count))
        distractors = ops.where(ops.equal(others, codes[:, :, None]), LOG_ZERO, distractors)
    positive = ops.diagonal(similarity, axis1=1, axis2=2)
    logits = ops.concatenate([positive[:, :, None], distractors], axis=2)
    masked = ops.cast(masked, "bool")
    enough = ops.sum(ops.cast(masked, "int32"), axis=1, keepdims=True) >= 2
    counted = ops.logical_and(masked, enough)
    loss = masked_cross_entropy(logits, ops.zeros((batch, frames), "int32"), counted)
    weights = ops.cast(counted, "float32")
    hits = ops.cast(ops.max(distractors, axis=2) < positive, "float32")
    accuracy = ops.sum(hits * weights) / ops.maximum(ops.sum(weights), 1.0)
    return loss, accuracy


def diversity_loss(probabilities, masked):
    """How far the use of a codebook's entries is from even.

    Args:
        probabilities: `[batch, frames, groups, entries]`, soft choice of each frame.
        masked: `[batch, frames]` bool, the frames that count.

    Returns:
        Tuple of the loss, `1 - perplexity / (groups * entries)`, and the perplexity, the sum over
        groups of the effective number of entries in use, both scalar float32.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), equation 4, in the form of the reference code.
    """
    weights = ops.cast(masked, "float32")[:, :, None, None]
    total = ops.maximum(ops.sum(weights), 1.0)
    mean = ops.sum(ops.cast(probabilities, "float32") * weights, axis=(0, 1)) / total
    entropy = -ops.sum(mean * ops.log(mean + 1e-7), axis=-1)
    perplexity = ops.sum(ops.exp(entropy))
    groups, entries = ops.shape(mean)
    return 1.0 - perplexity / (groups * entries), perplexity
