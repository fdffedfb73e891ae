"""Entropic optimal transport between the frames and the text units of an utterance."""

from keras import ops

from pad_keras.losses.functional.alignment import LOG_ZERO


def sinkhorn_plan(
    cost, source_weights, target_weights, source_mask, target_mask, epsilon=0.05, iterations=20
):
    """Plan of entropic optimal transport, by Sinkhorn's iterations in the log domain.

    The plan minimises `<plan, cost> - epsilon H(plan)` among the plans that take `source_weights`
    to `target_weights`. The last half step fits the targets: what arrives is exact for any number
    of iterations, what leaves is so in the limit. No gradient flows through it: at the optimum the
    gradient of the entropic objective by the cost is the plan itself (the envelope theorem), and
    the iterations need not be kept.

    Args:
        cost: `[batch, sources, targets]`.
        source_weights: `[batch, sources]` non-negative, a row sums to 1 over valid sources.
        target_weights: `[batch, targets]`, likewise.
        source_mask: `[batch, sources]`, true where a source is real.
        target_mask: `[batch, targets]`, true where a target is real.
        epsilon: float > 0, weight of the entropy: small ones give a sparse plan and need more
            iterations.
        iterations: int > 0, fixed; each fits the sources and then the targets.

    Returns:
        `[batch, sources, targets]` float32, 0 where a source or target is padding; all 0 where
        one side is empty.

    Reference:
        Cuturi, Sinkhorn Distances (arXiv 1306.0895); Peyré and Cuturi, Computational Optimal
        Transport (arXiv 1803.00567), section 4.4.

    Example:

    ```python
    cost = 1.0 - similarity_matrix(frames, tokens)
    plan = sinkhorn_plan(cost, frame_prior, token_prior, frame_mask, token_mask)
    ```
    """
    source_log = _log_weights(source_weights, source_mask)[:, :, None]
    target_log = _log_weights(target_weights, target_mask)[:, None, :]
    has_mass = ops.logical_and(source_log > LOG_ZERO, target_log > LOG_ZERO)
    cost = ops.where(has_mass, ops.stop_gradient(ops.cast(cost, "float32")), 0.0)
    kernel = ops.where(has_mass, -cost / epsilon, LOG_ZERO)

    def fit(_, scalings):
        _, target_scaling = scalings
        fitted = source_log - ops.logsumexp(kernel + target_scaling, axis=2, keepdims=True)
        source_scaling = ops.where(source_log > LOG_ZERO, fitted, LOG_ZERO)
        fitted = target_log - ops.logsumexp(kernel + source_scaling, axis=1, keepdims=True)
        return source_scaling, ops.where(target_log > LOG_ZERO, fitted, LOG_ZERO)

    start = ops.zeros_like(source_log), ops.zeros_like(target_log)
    source_scaling, target_scaling = ops.fori_loop(0, iterations, fit, start)
    plan = ops.exp(kernel + source_scaling + target_scaling)
    return ops.stop_gradient(ops.where(has_mass, plan, 0.0))


def transport_loss(plan, cost):
    """Mean over the batch of what a plan costs: `L = mean_b sum_ij plan_ij cost_ij`.

    Args:
        plan: `[batch, sources, targets]`; 0 where a source or target is padding.
        cost: `[batch, sources, targets]`.

    Returns:
        Scalar float32.

    Example:

    ```python
    transport_loss([[[0.5, 0.0], [0.0, 0.5]]], [[[0.2, 1.0], [1.0, 0.4]]])  # 0.3
    ```
    """
    plan = ops.cast(plan, "float32")
    cost = ops.where(plan > 0, ops.cast(cost, "float32"), 0.0)
    return ops.mean(ops.sum(plan * cost, axis=(1, 2)))


def _log_weights(weights, mask):
    """Logarithms of weights, `LOG_ZERO` where there is no mass or nothing real."""
    weights = ops.stop_gradient(ops.cast(weights, "float32"))
    has_mass = ops.logical_and(ops.cast(mask, "bool"), weights > 0)
    return ops.where(has_mass, ops.log(ops.where(has_mass, weights, 1.0)), LOG_ZERO)
