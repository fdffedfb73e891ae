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
            ValueError: if the groups of the two differ.
        """
        rights = [
            ops.equal(
                ops.cast(ops.argmax(scores, axis=-1), "int32"),
                # A column would be compared with every row.
                ops.cast(ops.reshape(ids, (-1,)), "int32"),
            )
            for ids, scores in _groups(y_true, y_pred)
        ]
        right = rights[0]
        for other in rights[1:]:
            right = ops.logical_and(right, other)
        right = ops.cast(right, "float32")
        weight = ops.ones_like(right) if sample_weight is None else sample_weight
        weight = ops.cast(ops.reshape(weight, (-1,)), "float32")
        self.total.assign_add(ops.sum(right * weight))
        self.count.assign_add(ops.sum(weight))


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
