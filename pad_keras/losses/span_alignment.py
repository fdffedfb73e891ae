"""Span alignment: PAD-SLocal, with anchor-based adaptive span aggregation (AASA)."""

import keras

# The package, not the class: layers/ reads losses.functional, so either may be imported first.
from pad_keras import layers
from pad_keras.losses import checks, functional
from pad_keras.losses.base import WEIGHTINGS
from pad_keras.losses.local_alignment import LocalAlignmentLoss


@keras.saving.register_keras_serializable(package="pad_keras")
class SpanAlignment(LocalAlignmentLoss):
    """Cosine of every text unit with the adaptive span of frames that matches it best (PAD-SLocal).

    Spans of several widths about the most significant frames are mean-pooled (see
    `pad_keras.layers.AnchorSpanPooling`), and `L = - mean_b sum_j P_j max_span cos(span, t_j)`.
    Ablations are one argument away: `weighting="uniform"`, `scales=(1.0,)`,
    `anchor_selection="even"`.

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
        softness: float >= 0, temperature of a soft maximum over spans, the mean of their cosines
            weighted by the softmax of these; 0 is the paper's hard maximum.
        centre_units: bool, whether each utterance's mean unit is subtracted from its units, on
            both sides, before the cosine.

    Raises:
        ValueError: for an unknown option or a value out of range.

    Reference:
        PAD (arXiv 2303.03600), anchor-based adaptive span aggregation and span-level alignment.

    Example:

    ```python
    loss = SpanAlignment()
    loss.compute_loss(text_units, speech_units)  # scalar
    spans = loss.spans(text_units, speech_units)  # what it looked at: anchors, starts, ends, mask
    ```
    """

    weightings = WEIGHTINGS

    def __init__(
        self,
        anchors_per_unit=2.0,
        radius=2,
        scales=(0.5, 1.0, 2.0),
        weighting="significance",
        anchor_selection="significant",
        pooling="mean",
        stop_significance_gradient=True,
        name="span_alignment",
        *,
        softness=0.0,
        centre_units=False,
    ):
        super().__init__(weighting, stop_significance_gradient, name, centre_units)
        self.softness = checks.non_negative("softness", softness)
        self.span_pooling = layers.AnchorSpanPooling(
            anchors_per_unit=anchors_per_unit,
            radius=radius,
            scales=scales,
            anchor_selection=anchor_selection,
            pooling=pooling,
            stop_significance_gradient=stop_significance_gradient,
        )

    def spans(self, teacher_outputs, student_outputs):
        """The candidate spans of a batch, pooled from the units as given (not centred).

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.

        Returns:
            Dict of `embeddings` `[batch, spans, dim]`, `mask` `[batch, spans]`, `starts` and
            `ends` `[batch, spans]` in frames, `anchors` `[batch, anchors]`, -1 where none.
        """
        return self.span_pooling(student_outputs, teacher_outputs["mask"])

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
        spans = self.spans(text, speech)
        best = functional.best_similarity(
            spans["embeddings"], spans["mask"], self.real_embeddings(text), self.softness
        )
        return functional.alignment_loss(best, self.unit_weights(text))

    def get_config(self):
        """Arguments that rebuild this loss."""
        pooling = self.span_pooling
        return {
            **super().get_config(),
            "anchors_per_unit": pooling.anchors_per_unit,
            "radius": pooling.radius,
            "scales": list(pooling.scales),
            "anchor_selection": pooling.anchor_selection,
            "pooling": pooling.pooling,
            "softness": self.softness,
        }
