"""Whether all labels of an utterance are right."""

import keras
from keras import ops

from pad_keras.metrics.ratio import RatioMetric


@keras.saving.register_keras_serializable(package="pad_keras")
class ExactMatch(RatioMetric):
    """Share of utterances of which every group of labels is right.

    With one group that is accuracy; with Fluent Speech Commands' three, the accuracy of intents.

    Args:
        name: str.
        **kwargs: of `keras.metrics.Metric`.

    Reference:
        SUPERB (arXiv 2105.01051), intent classification.

    Example:

    ```python
    metric = ExactMatch()
    metric.update_state({"action": [0], "object": [1]}, {"action": [[9, 0]], "object": [[9, 0]]})
    float(metric.result())  # 0.0: the object is wrong
    ```
    """

    def __init__(self, name="exact_match", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: ids `[batch]`, or a dict or sequence of them, one a group; or one tensor
                `[batch, groups]`.
            y_pred: scores `[batch, classes]`, or a dict or sequence of them, in the same order.
            sample_weight: `[batch]`, or `None`.

        Raises:
            ValueError: if the groups of the two, or their numbers of utterances differ.
        """
        rights = [_right(ids, scores) for ids, scores in _groups(y_true, y_pred)]
        right = rights[0]
        for other in rights[1:]:
            right = ops.logical_and(right, other)
        right = ops.cast(right, "float32")
        weight = ops.ones_like(right) if sample_weight is None else sample_weight
        weight = ops.cast(ops.reshape(weight, (-1,)), "float32")
        self.total.assign_add(ops.sum(right * weight))
        self.count.assign_add(ops.sum(weight))


def _right(ids, scores):
    """Which utterances of a group are right; of NaN scores, as of a diverged head, none."""
    scores = ops.convert_to_tensor(scores)
    # A column would be compared with every row, and so would a single id.
    ids = ops.cast(ops.reshape(ids, (-1,)), "int32")
    sizes = ids.shape[0], scores.shape[0]
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(f"y_true has {sizes[0]} ids and y_pred scores of {sizes[1]} utterances.")
    found = ops.cast(ops.argmax(scores, axis=-1), "int32")
    is_number = ops.logical_not(ops.any(ops.isnan(scores), axis=-1))
    return ops.logical_and(ops.equal(found, ids), is_number)


def _groups(y_true, y_pred):
    """Pairs of ids and scores, one a group."""
    if isinstance(y_pred, dict):
        if not isinstance(y_true, dict) or y_true.keys() != y_pred.keys():
            there = sorted(y_true) if isinstance(y_true, dict) else type(y_true).__name__
            raise ValueError(f"y_pred has the groups {sorted(y_pred)} and y_true {there}.")
        return [(y_true[name], y_pred[name]) for name in y_pred]
    if not isinstance(y_pred, list | tuple):
        return [(y_true, y_pred)]
    if not isinstance(y_true, list | tuple):
        y_true = ops.unstack(ops.convert_to_tensor(y_true), num=len(y_pred), axis=1)
    if len(y_true) != len(y_pred):
        raise ValueError(f"y_pred has {len(y_pred)} groups and y_true {len(y_true)}.")
    return list(zip(y_true, y_pred, strict=True))
