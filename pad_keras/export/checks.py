"""Checks of input in the graph of an exported model."""

import tensorflow as tf


def require(*rules):
    """Operation that fails with the reason of the first rule that is broken.

    One operation for all rules: assertions of their own would fail in any order, and what an
    empty file is told should not be that it has no header.

    Args:
        *rules: pairs of a scalar bool tensor and why, a str or a scalar string tensor.

    Returns:
        `tf.Operation` (`None` when called eagerly) that raises `tf.errors.InvalidArgumentError`.

    Example:

    ```python
    with tf.control_dependencies([require((tf.size(x) > 0, "There are no samples."))]):
        x = tf.identity(x)
    ```
    """
    holds = tf.stack([rule for rule, _ in rules])
    reasons = tf.stack([reason for _, reason in rules])
    first_broken = tf.argmin(tf.cast(holds, tf.int32))
    return tf.debugging.Assert(tf.reduce_all(holds), [reasons[first_broken]])
