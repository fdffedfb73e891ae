"""Attention-based Significance Prior (ASP): how much attention a unit receives."""

from keras import ops


def received_attention(attention_scores, padding_mask):
    """Share of one layer's attention that each position receives.

    The attention probabilities are averaged over heads and summed over the valid queries; the
    result is normalised over the valid keys. This is `P_l` of the significance prior. A backbone
    calls it inside each attention layer, so that no attention map outlives its layer.

    Args:
        attention_scores: `[batch, heads, queries, keys]` attention probabilities (after softmax).
        padding_mask: `[batch, keys]`, true (or 1) where a position is real.

    Returns:
        `[batch, keys]` float32; a row sums to 1 over valid keys and is 0 at padding.

    Reference:
        PAD (arXiv 2303.03600), attention-based significance prior.

    Example:

    ```python
    scores = keras.ops.softmax(keras.random.normal((2, 4, 10, 10)))
    prior = received_attention(scores, keras.ops.ones((2, 10)))  # [2, 10]
    ```
    """
    valid = ops.cast(padding_mask, "float32")
    over_heads = ops.mean(ops.cast(attention_scores, "float32"), axis=1)
    # `where`, not a product: a padded query's row may hold anything, NaN too.
    is_valid = ops.cast(padding_mask, "bool")
    both = ops.logical_and(is_valid[:, :, None], is_valid[:, None, :])
    received = ops.sum(ops.where(both, over_heads, 0.0), axis=1)
    return normalize_weights(received, valid)


def significance_prior(attention_scores, padding_mask, unit_mask=None):
    """Attention-based significance prior of a stack of layers.

    `P = mean_l P_l`, with `P_l` the share of layer l's attention that a position receives (see
    `received_attention`). Special tokens take part as queries, but their own mass is dropped when
    `unit_mask` excludes them, and the rest is renormalised (our choice: [CLS] and [SEP] are
    attention sinks).

    Args:
        attention_scores: list or tuple of `[batch, heads, queries, keys]` attention
            probabilities, one a layer; or one tensor of that shape (a single layer); or a stack
            `[layers, batch, heads, queries, keys]`.
        padding_mask: `[batch, keys]`, true where a position is real.
        unit_mask: `[batch, keys]`, true where a position is a unit of the alignment; padding is
            none, whatever it says. Defaults to `padding_mask`.

    Returns:
        `[batch, keys]` float32; a row sums to 1 over its units and is 0 elsewhere.

    Raises:
        ValueError: if `attention_scores` has no layer or a wrong rank.

    Reference:
        PAD (arXiv 2303.03600), attention-based significance prior.

    Example:

    ```python
    scores = keras.ops.softmax(keras.random.normal((6, 2, 4, 10, 10)))
    prior = significance_prior(scores, keras.ops.ones((2, 10)))  # [2, 10]
    ```
    """
    layers = _as_layers(attention_scores)
    received = [received_attention(scores, padding_mask) for scores in layers]
    is_unit = ops.cast(padding_mask, "bool")
    if unit_mask is not None:
        is_unit = ops.logical_and(is_unit, ops.cast(unit_mask, "bool"))
    return mean_prior(received, is_unit)


def mean_prior(received, unit_mask):
    """Mean of per-layer priors, restricted to units and renormalised.

    Args:
        received: list of `[batch, positions]`, one a layer, as `received_attention` gives them.
        unit_mask: `[batch, positions]`, true where a position is a unit.

    Returns:
        `[batch, positions]` float32; a row sums to 1 over its units.

    Reference:
        PAD (arXiv 2303.03600), attention-based significance prior.

    Example:

    ```python
    prior = mean_prior([received_layer_1, received_layer_2], unit_mask)
    ```
    """
    total = received[0]
    for layer in received[1:]:
        total = total + layer
    return normalize_weights(total / len(received), unit_mask)


def normalize_weights(weights, mask):
    """Restrict non-negative weights to a mask and make each row sum to 1.

    A row whose valid weights are all zero becomes uniform over its valid positions, so that a
    degenerate prior never yields NaN.

    Args:
        weights: `[batch, positions]` non-negative weights.
        mask: `[batch, positions]`, true where a position counts.

    Returns:
        `[batch, positions]` float32; a row sums to 1 (to 0 where no position counts).

    Example:

    ```python
    normalize_weights([[1.0, 3.0, 5.0]], [[1, 1, 0]])  # [[0.25, 0.75, 0.0]]
    ```
    """
    is_valid = ops.cast(mask, "bool")
    weights = ops.where(is_valid, ops.cast(weights, "float32"), 0.0)
    total = ops.sum(weights, axis=-1, keepdims=True)
    is_positive = total > 0
    scaled = weights / ops.where(is_positive, total, 1.0)
    return ops.where(is_positive, scaled, uniform_weights(mask))


def uniform_weights(mask):
    """Uniform weights over the valid positions: mean pooling, the absence of a prior.

    Args:
        mask: `[batch, positions]`, true where a position counts.

    Returns:
        `[batch, positions]` float32; a row sums to 1 (to 0 where no position counts).

    Example:

    ```python
    uniform_weights([[1, 1, 0]])  # [[0.5, 0.5, 0.0]]
    ```
    """
    valid = ops.cast(ops.cast(mask, "bool"), "float32")
    return valid / ops.maximum(ops.sum(valid, axis=-1, keepdims=True), 1.0)


def _as_layers(attention_scores):
    """Split any accepted form of `attention_scores` into a list of 4-D maps."""
    if isinstance(attention_scores, (list, tuple)):
        layers = list(attention_scores)
    else:
        attention_scores = ops.convert_to_tensor(attention_scores)
        is_stack = len(attention_scores.shape) == 5
        layers = ops.unstack(attention_scores, axis=0) if is_stack else [attention_scores]
    if not layers:
        raise ValueError("`attention_scores` holds no layer; pass at least one attention map.")
    for layer, scores in enumerate(layers):
        if len(scores.shape) != 4:
            raise ValueError(
                "`attention_scores` must hold maps of shape [batch, heads, queries, keys]; layer "
                f"{layer} has shape {tuple(scores.shape)}."
            )
    return layers
