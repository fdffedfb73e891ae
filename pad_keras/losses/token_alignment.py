"""Token alignment: PAD-TLocal, and the SPLAT-Tok and token-cosine baselines."""

import keras

from pad_keras.losses import checks, functional
from pad_keras.losses.base import WEIGHTINGS
from pad_keras.losses.local_alignment import LocalAlignmentLoss


@keras.saving.register_keras_serializable(package="pad_keras")
class TokenAlignment(LocalAlignmentLoss):
    """Cosine of every text unit with the single frame that matches it best (PAD-TLocal).

    `L = - mean_b sum_j P_j max_i cos(s_i, t_j)`. With `weighting="idf"` it is SPLAT-Tok, with
    `weighting="uniform"` the token cosine without a prior. A frame lasts 20 ms and a word several
    of them: `SpanAlignment` compares units of like length instead.

    Args:
        weighting: weights of the text units: `"significance"`, `"uniform"` or `"idf"` (needs
            the teacher units' entry `idf`).
        stop_significance_gradient: bool, whether the weights are constants.
        name: str, name of this loss in logs.
        softness: float >= 0, temperature of a soft maximum over frames, the mean of their cosines
            weighted by the softmax of these; 0 is the paper's hard maximum.
        centre_units: bool, whether each utterance's mean unit is subtracted from its units, on
            both sides, before the cosine.

    Raises:
        ValueError: for an unknown weighting or a negative softness.

    Reference:
        PAD (arXiv 2303.03600), token-level local alignment; SPLAT (arXiv 2010.02295).

    Example:

    ```python
    loss = TokenAlignment()
    splat_tok = TokenAlignment(weighting="idf")
    loss.compute_loss(text_units, speech_units)  # scalar
    ```
    """

    weightings = WEIGHTINGS

    def __init__(
        self,
        weighting="significance",
        stop_significance_gradient=True,
        name="token_alignment",
        *,
        softness=0.0,
        centre_units=False,
    ):
        super().__init__(weighting, stop_significance_gradient, name, centre_units)
        self.softness = checks.non_negative("softness", softness)

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch; see the class.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.
            **kwargs: ignored.

        Returns:
            Scalar float32.
        """
        text, speech = self.local_units(teacher_outputs), self.local_units(student_outputs)
        best = functional.best_similarity(
            speech["embeddings"], speech["mask"], self.real_embeddings(text), self.softness
        )
        return functional.alignment_loss(best, self.unit_weights(text))

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {**super().get_config(), "softness": self.softness}
