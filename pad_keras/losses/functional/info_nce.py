"""Contrast of the utterances of a batch: which speech belongs to which text."""

from keras import ops

from pad_keras.losses.functional.alignment import (
    LOG_ZERO,
    maximum_similarity,
    unit_vectors,
    valid_units,
)

# From this cosine on, two pooled texts count as one.
SAME_TEXT_COSINE = 1.0 - 1e-4


def same_texts(text):
    """Which utterances of a batch have the same text, told by its pooled embeddings.

    Args:
        text: `[batch, dim]` pooled text units, as the teacher gave them: centred ones may be zero
            for every text.

    Returns:
        `[batch, batch]` bool, symmetric.

    Example:

    ```python
    same_texts([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])[0]  # [True, False, True]
    ```
    """
    text = unit_vectors(text)
    # |a - b|^2 = 2 - 2 cos, by differences: a GPU's matrix product (TF32) may round a cosine of 1
    # to below the threshold.
    squared = ops.sum(ops.square(text[:, None, :] - text[None, :, :]), axis=-1)
    return squared < 2.0 * (1.0 - SAME_TEXT_COSINE)


def late_interaction(units, unit_mask, text_units, text_weights, softness=0.0):
    """Score of every utterance's speech with every utterance's text.

    `score(b, b') = sum_j w_j max_i cos(s_i of b, t_j of b')`: the token or span alignment of each
    pair of the batch. All similarities are alive at once, `4 batch^2 units text_units` bytes in a
    tensor and a few such tensors in a gradient: for 32 utterances of 240 spans and 40 text units
    39 MB each.

    Args:
        units: `[batch, units, dim]` speech units (frames or pooled spans).
        unit_mask: `[batch, units]`, true where a speech unit is real.
        text_units: `[batch, text_units, dim]`.
        text_weights: `[batch, text_units]`, a row sums to 1; 0 where a text unit is padding.
        softness: float >= 0, temperature of a soft maximum; see `maximum_similarity`.

    Returns:
        `[batch, batch]` float32, speech by text.

    Reference:
        ColBERT (arXiv 2004.12832); FILIP (arXiv 2111.07783).

    Example:

    ```python
    scores = late_interaction(spans, span_mask, tokens, token_weights)
    ```
    """
    texts, width, dim = ops.shape(text_units)
    units = unit_vectors(valid_units(units, unit_mask))
    weights = ops.cast(text_weights, "float32")
    columns = unit_vectors(valid_units(text_units, weights != 0))
    similarity = ops.matmul(units, ops.transpose(ops.reshape(columns, (texts * width, dim))))
    best = maximum_similarity(similarity, unit_mask, softness)
    return ops.sum(ops.reshape(best, (-1, texts, width)) * weights[None], axis=-1)


def info_nce_loss(scores, is_same_text, temperature=0.05, symmetric=True):
    """Cross-entropy of finding an utterance's own text among those of the batch, and vice versa.

    `L = - mean_b ln(exp(c_bb / T) / sum_b' exp(c_bb' / T))`, where b' runs over b and the
    utterances of other texts; symmetric, the mean of this and of the same over columns.

    Args:
        scores: `[batch, batch]`, c, of speech (rows) with text (columns).
        is_same_text: `[batch, batch]` bool, pairs that are no negatives of each other; the
            diagonal does not matter.
        temperature: float > 0, T.
        symmetric: bool; if false, only speech looks for its text.

    Returns:
        Scalar float32; 0 without negatives, as in a batch of one.

    Reference:
        CPC (arXiv 1807.03748); both directions: CLIP (arXiv 2103.00020).

    Example:

    ```python
    info_nce_loss(scores, keras.ops.eye(8, dtype="bool"))
    ```
    """
    logits = ops.cast(scores, "float32") / temperature
    positions = ops.arange(ops.shape(logits)[0], dtype="int32")
    is_own = ops.equal(positions[:, None], positions[None, :])
    is_candidate = ops.logical_or(is_own, ops.logical_not(ops.cast(is_same_text, "bool")))
    logits = ops.where(is_candidate, logits, LOG_ZERO)
    own = ops.sum(ops.where(is_own, logits, 0.0), axis=1)
    loss = ops.mean(ops.logsumexp(logits, axis=1) - own)
    if symmetric:
        loss = (loss + ops.mean(ops.logsumexp(logits, axis=0) - own)) / 2.0
    return loss
