"""Labels of whole utterances: intents, emotions."""

import keras
import numpy as np
from keras import ops

from pad_keras.metrics import ExactMatch
from pad_keras.models.speech_task import SpeechTask


@keras.saving.register_keras_serializable(package="pad_keras")
class UtteranceClassifier(SpeechTask):
    """Classifies utterances into one label of each of several groups.

    SUPERB's head: a weighted sum of hidden states, a linear projection, the mean over real
    frames, a linear layer; no activation between.

    Args:
        backbone: `Wav2Vec2Backbone`.
        labels: dict from group to the names of its labels, as `pad_keras.data.label_names`
            gives it: intent classification has three groups, emotion recognition one.
        projection_dim: int.
        fine_tune: bool, whether the encoder is trained too.
        **kwargs: `layers` of `SpeechTask`, and those of `keras.Model`.

    Call arguments:
        inputs: see `SpeechTask`.

    Returns:
        Dict from group to logits `[batch, labels]`.

    Raises:
        ValueError: if there is no group, or a group without a label or with one twice.

    Reference:
        SUPERB (arXiv 2105.01051), intent classification and emotion recognition.

    Example:

    ```python
    classifier = UtteranceClassifier(student, label_names(train))
    classifier.compile()
    classifier.fit(batches)  # of (inputs, {group: ids})
    ```
    """

    def __init__(self, backbone, labels, projection_dim=256, fine_tune=False, **kwargs):
        labels = {group: tuple(names) for group, names in labels.items()}
        for group, names in labels.items():
            if not names or len(set(names)) < len(names):
                raise ValueError(f"The labels of {group!r} must be different names, got {names}.")
        if not labels:
            raise ValueError("`labels` has no group.")
        super().__init__(backbone, fine_tune, **kwargs)
        self.label_names = labels
        self.projection_dim = projection_dim
        policy = self.dtype_policy
        self.projection = keras.layers.Dense(projection_dim, dtype=policy, name="projection")
        self.projection.build((None, None, self.hidden_dim))
        # One layer for all groups, as in the reference; the groups are slices of it.
        width = sum(map(len, labels.values()))
        self.classifier = keras.layers.Dense(width, dtype=policy, name="classifier")
        self.classifier.build((None, projection_dim))
        self.exact_match = ExactMatch()
        self.built = True

    def call(self, inputs, training=None):
        """Compute the logits; see the class."""
        features, mask = self.features(inputs, training)
        # A half-precision sum over many frames would be inexact, and may overflow.
        projected = ops.cast(self.projection(features), "float32")
        weights = ops.cast(mask, "float32")[:, :, None]
        mean = ops.sum(projected * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)
        logits = self.classifier(mean)
        found, start = {}, 0
        for group, names in self.label_names.items():
            found[group] = logits[:, start : start + len(names)]
            start += len(names)
        return found

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Sum over groups of the mean cross-entropy.

        Args:
            x: dict of a batch; not used.
            y: dict from group to ids `[batch]`.
            y_pred: dict from group to logits.
            sample_weight: `[batch]`, or a dict of these by group, as Keras makes of it; or `None`.
            training: bool; not used.

        Returns:
            Scalar float32.
        """
        total = 0.0
        for group, logits in y_pred.items():
            losses = keras.losses.sparse_categorical_crossentropy(
                y[group], ops.cast(logits, "float32"), from_logits=True
            )
            # Of an id that is no label JAX has a loss of 0; other backends raise.
            ids = ops.reshape(y[group], (-1,))
            is_label = ops.logical_and(ids >= 0, ids < logits.shape[-1])
            losses = ops.where(is_label, losses, np.nan)
            weight = _of_group(sample_weight, group)
            if weight is not None:
                # A column would be spread over every row.
                losses = losses * ops.reshape(ops.cast(weight, "float32"), (-1,))
            total = total + ops.mean(losses)
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The loss and the share of utterances of which all labels are right."""
        weight = _of_group(sample_weight, next(iter(y_pred)))
        self.exact_match.update_state(y, y_pred, weight)
        return self.get_metrics_result()

    def get_config(self):
        """Arguments that rebuild this model."""
        labels = {group: list(names) for group, names in self.label_names.items()}
        return {**super().get_config(), "labels": labels, "projection_dim": self.projection_dim}


def _of_group(sample_weight, group):
    return sample_weight[group] if isinstance(sample_weight, dict) else sample_weight
