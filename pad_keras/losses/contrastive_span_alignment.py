"""Contrastive span alignment: late interaction of spans and tokens over a batch."""

import keras

from pad_keras.losses import checks, functional
from pad_keras.losses.span_alignment import SpanAlignment


@keras.saving.register_keras_serializable(package="pad_keras")
class ContrastiveSpanAlignment(SpanAlignment):
    """Span alignment that also tells an utterance's text from the other texts of the batch.

    The score of utterance b's speech with the text of b' is what `SpanAlignment` maximises,
    `sum_j P_j max_span cos(span of b, t_j of b')`; the scores of all pairs, over a temperature,
    are the logits of a symmetric cross-entropy. `SpanAlignment` can fall by bringing every span
    close to what tokens look like in general; here that raises all scores alike and gains
    nothing. Compared with `ContrastiveAlignment`, words are told apart, not utterances alone.

    Spans are laid out with the utterance's own number of text units, as `SpanAlignment` does, and
    are the same whichever text they are scored with. All similarities of the batch are in memory
    at once, `4 batch^2 spans text_units` bytes a tensor (39 MB for 32 utterances of 240 spans and
    40 text units) and a few such tensors for the gradient: fine for some 32 utterances, dear
    beyond.

    Args:
        anchors_per_unit: float, anchors per text unit.
        radius: int, half width in frames of the window of a local maximum of the prior.
        scales: sequence of floats, span widths in multiples of the utterance's mean frames per
            text unit.
        weighting: weights of the text units: `"significance"`, `"uniform"` or `"idf"`.
        anchor_selection: `"significant"` or `"even"`.
        pooling: `"mean"`, or `"significance"` for a mean weighted by the prior.
        stop_significance_gradient: bool, whether the weights are constants.
        name: str, name of this loss in logs.
        temperature: float > 0, of the scores.
        symmetric: bool, whether text also looks for its speech.
        softness: float >= 0, temperature of a soft maximum over spans; 0 is the hard one.
        centre_units: bool, whether each utterance's mean unit is subtracted, on both sides.

    Raises:
        ValueError: for an unknown option or a value out of range.

    Reference:
        ColBERT (arXiv 2004.12832) and FILIP (arXiv 2111.07783), late interaction; PAD (arXiv
        2303.03600), the spans. Not in the PAD paper.

    Example:

    ```python
    loss = ContrastiveSpanAlignment(temperature=0.05)
    loss.compute_loss(text_units, speech_units)  # scalar; 0 for a batch of one
    ```
    """

    def __init__(
        self,
        anchors_per_unit=2.0,
        radius=2,
        scales=(0.5, 1.0, 2.0),
        weighting="significance",
        anchor_selection="significant",
        pooling="mean",
        stop_significance_gradient=True,
        name="contrastive_span_alignment",
        *,
        temperature=0.05,
        symmetric=True,
        softness=0.0,
        centre_units=False,
    ):
        super().__init__(
            anchors_per_unit,
            radius,
            scales,
            weighting,
            anchor_selection,
            pooling,
            stop_significance_gradient,
            name,
            softness=softness,
            centre_units=centre_units,
        )
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
        text, speech = self.local_units(teacher_outputs), self.local_units(student_outputs)
        weights = self.unit_weights(text)
        spans = self.spans(text, speech)
        scores = functional.late_interaction(
            spans["embeddings"], spans["mask"], text["embeddings"], weights, self.softness
        )
        # Of the units as they came: centred ones pool to zero, whatever the text, if uniform.
        pooled = functional.weighted_mean(teacher_outputs["embeddings"], weights)
        return functional.info_nce_loss(
            scores, functional.same_texts(pooled), self.temperature, self.symmetric
        )

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "symmetric": self.symmetric,
        }
