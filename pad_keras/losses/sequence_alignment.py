"""Sequence alignment: the SPLAT-Seq baseline."""

import keras
from keras import ops

from pad_keras.losses import functional
from pad_keras.losses.base import WEIGHTINGS, AlignmentLoss


@keras.saving.register_keras_serializable(package="pad_keras")
class SequenceAlignment(AlignmentLoss):
    """Squared distance between the first frame's embedding and the [CLS] embedding (SPLAT-Seq).

    `L = mean_b ||s_1 - t_cls||_2^2`. A baseline: it moves only what reaches the first frame.

    Args:
        weighting: str, as of the other losses, that all may be built alike; without effect, as
            one vector a side is compared.
        name: str, name of this loss in logs.

    Raises:
        ValueError: for an unknown weighting, or if the teacher's units carry no `cls`.

    Reference:
        SPLAT (arXiv 2010.02295), sequence-level alignment.

    Example:

    ```python
    SequenceAlignment().compute_loss(text_units, speech_units)  # scalar
    ```
    """

    weightings = WEIGHTINGS

    def __init__(self, weighting="uniform", name="sequence_alignment"):
        super().__init__(weighting=weighting, name=name)

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch; see the class.

        Args:
            teacher_outputs: dict of text units with `cls` `[batch, dim]`.
            student_outputs: dict of speech units.
            **kwargs: ignored.

        Returns:
            Scalar float32.
        """
        if "cls" not in teacher_outputs:
            raise ValueError(
                "SequenceAlignment needs the entry 'cls' of the text units, got "
                f"{sorted(teacher_outputs)}. `TextTeacher` supplies it."
            )
        first_frame = self.real_embeddings(student_outputs)[:, 0]
        return ops.mean(functional.squared_distance(first_frame, teacher_outputs["cls"]))

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {"weighting": self.weighting, "name": self.name}
