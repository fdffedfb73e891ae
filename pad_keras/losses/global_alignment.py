"""Global alignment: PAD-Glob, and the mean-pooled and sentence-cosine baselines."""

import keras
from keras import ops

from pad_keras.losses import functional
from pad_keras.losses.base import WEIGHTINGS, AlignmentLoss

_DISTANCES = {
    "l1": functional.l1_distance,
    "l2": functional.squared_distance,
    "cosine": functional.cosine_distance,
}


@keras.saving.register_keras_serializable(package="pad_keras")
class GlobalAlignment(AlignmentLoss):
    """Distance between an utterance's pooled speech units and its pooled text units (PAD-Glob).

    `L = mean_b d(sum_i P_i s_i, sum_j P_j t_j)`, where d is the L1 distance in the paper.
    Baselines are one argument away: `weighting="uniform"` is mean pooling; with `distance="l2"`
    the squared Euclidean distance; with `distance="cosine"` the sentence cosine of SAMU-XLSR.
    Prefer `TokenAlignment` or `SpanAlignment` where what matters is local, such as slots.

    Args:
        distance: `"l1"` (sum of absolute differences), `"l2"` (sum of squared differences) or
            `"cosine"` (one minus the cosine).
        weighting: `"significance"` or `"uniform"`, on both sides; or `"idf"` of the text units
            (needs the teacher units' entry `idf`), with speech units weighted alike.
        speech_weighting: `"significance"` or `"uniform"` of the speech units, where theirs differs;
            `None` takes `weighting`. Tells the student's prior from the teacher's in an ablation.
        stop_significance_gradient: bool, whether the weights are constants.
        name: str, name of this loss in logs.

    Raises:
        ValueError: for an unknown distance or weighting.

    Reference:
        PAD (arXiv 2303.03600), global alignment; SAMU-XLSR (arXiv 2205.08180).

    Example:

    ```python
    loss = GlobalAlignment()
    baseline = GlobalAlignment(distance="l2", weighting="uniform")
    loss.compute_loss(text_units, speech_units)  # scalar
    ```
    """

    weightings = WEIGHTINGS

    def __init__(
        self,
        distance="l1",
        weighting="significance",
        stop_significance_gradient=True,
        name="global_alignment",
        speech_weighting=None,
    ):
        super().__init__(weighting, stop_significance_gradient, name)
        if speech_weighting not in (None, *AlignmentLoss.weightings):
            raise ValueError(
                f"`speech_weighting` must be one of {AlignmentLoss.weightings} or None, got "
                f"{speech_weighting!r}."
            )
        if distance not in _DISTANCES:
            raise ValueError(f"`distance` must be one of {tuple(_DISTANCES)}, got {distance!r}.")
        self.distance = distance
        self.speech_weighting = speech_weighting

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch; see the class.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.
            **kwargs: ignored.

        Returns:
            Scalar float32.
        """
        # Frames have no document frequency.
        weighting = "uniform" if self.weighting == "idf" else self.weighting
        speech = self.pooled_units(student_outputs, self.speech_weighting or weighting)
        text = self.pooled_units(teacher_outputs)
        return ops.mean(_DISTANCES[self.distance](speech, text))

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {
            **super().get_config(),
            "distance": self.distance,
            "speech_weighting": self.speech_weighting,
        }
