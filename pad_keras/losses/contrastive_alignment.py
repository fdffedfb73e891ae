"""Contrastive global alignment: the other utterances of the batch are negatives."""

import keras

from pad_keras.losses import checks, functional
from pad_keras.losses.base import AlignmentLoss


@keras.saving.register_keras_serializable(package="pad_keras")
class ContrastiveAlignment(AlignmentLoss):
    """Cross-entropy of telling an utterance's text from the other texts of the batch (InfoNCE).

    Speech and text are pooled as `GlobalAlignment` pools them, and the cosines of all pairs of
    the batch, over a temperature, are logits. A distance alone is also served by what all
    utterances have in common; this loss is served only by what tells them apart, so it is the one
    for retrieval. It needs batches of several texts, the larger the better, and leaves where an
    embedding lies free except relative to the others: add `GlobalAlignment` where the teacher's
    own space is wanted. Utterances with one transcript are no negatives of each other.

    Args:
        weighting: `"significance"` or `"uniform"`, on both sides.
        temperature: float > 0, of the cosines.
        symmetric: bool, whether text also looks for its speech; if false, only speech looks for
            its text.
        stop_significance_gradient: bool, whether the weights are constants.
        name: str, name of this loss in logs.

    Raises:
        ValueError: for an unknown weighting or a value out of range.

    Reference:
        CLIP (arXiv 2103.00020); CPC (arXiv 1807.03748). SAMU-XLSR (arXiv 2205.08180) has the same
        pair of towers with a plain cosine. Not in the PAD paper.

    Example:

    ```python
    loss = ContrastiveAlignment(temperature=0.05)
    loss.compute_loss(text_units, speech_units)  # scalar; 0 for a batch of one
    ```
    """

    def __init__(
        self,
        weighting="significance",
        temperature=0.05,
        symmetric=True,
        stop_significance_gradient=True,
        name="contrastive_alignment",
    ):
        super().__init__(weighting, stop_significance_gradient, name)
        self.temperature = checks.positive("temperature", temperature)
        self.symmetric = symmetric

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch; see the class.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.
            **kwargs: ignored.

        Returns:
            Scalar float32.
        """
        speech, text = map(self.pooled_units, (student_outputs, teacher_outputs))
        scores = functional.cosine_logits(speech, text, temperature=1.0)
        return functional.info_nce_loss(
            scores, functional.same_texts(text), self.temperature, self.symmetric
        )

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "symmetric": self.symmetric,
        }
