"""Optimal transport alignment: all frames share out the text units among them."""

import keras

from pad_keras.losses import checks, functional
from pad_keras.losses.local_alignment import LocalAlignmentLoss


@keras.saving.register_keras_serializable(package="pad_keras")
class OptimalTransportAlignment(LocalAlignmentLoss):
    """Least cost of moving the significance of the frames onto the text units.

    `L = mean_b <plan, 1 - cos(s_i, t_j)>`, where the plan is the entropic optimal transport from
    the frames' prior to the text units' prior (Sinkhorn). In `TokenAlignment` one frame may be
    the best of all tokens, and frames that are nobody's best get no gradient; here a frame has no
    more to give than its significance, so different tokens need different frames and every
    significant frame must belong somewhere. The price is that silence must belong somewhere too,
    as far as the prior (or `weighting="uniform"`) gives it weight. Order in time plays no part.

    The plan is a constant of the gradient, which is that of the entropic objective (the envelope
    theorem). Units of speech are frames, not spans: spans of several scales overlap, and there is
    no saying which share of a frame's significance each should carry.

    Args:
        weighting: the marginals of the plan on both sides: `"significance"` or `"uniform"`.
        epsilon: float > 0, weight of the plan's entropy, on the scale of the cost (0 to 2).
        iterations: int > 0, Sinkhorn iterations. What the text units get is exact for any number;
            a smaller `epsilon` needs more until the frames give what they have.
        name: str, name of this loss in logs.
        centre_units: bool, whether each utterance's mean unit is subtracted from its units, on
            both sides, before the cosine.

    Raises:
        ValueError: for an unknown weighting or a value out of range.

    Reference:
        Cuturi, Sinkhorn Distances (arXiv 1306.0895). Not in the PAD paper.

    Example:

    ```python
    loss = OptimalTransportAlignment(epsilon=0.05, iterations=20)
    loss.compute_loss(text_units, speech_units)  # scalar, between 0 and 2
    ```
    """

    def __init__(
        self,
        weighting="significance",
        epsilon=0.05,
        iterations=20,
        name="optimal_transport_alignment",
        *,
        centre_units=False,
    ):
        # Weights enter by the plan alone, which is a constant: nothing to choose for the caller.
        super().__init__(weighting, True, name, centre_units)
        self.epsilon = checks.positive("epsilon", epsilon)
        self.iterations = int(checks.positive("iterations", iterations))

    def plan(self, teacher_outputs, student_outputs):
        """Which share of each text unit comes from which frame.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.

        Returns:
            `[batch, frames, text_units]` float32; a column sums to its text unit's weight.
        """
        cost = self._cost(teacher_outputs, student_outputs)
        return self._plan(cost, teacher_outputs, student_outputs)

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch; see the class.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.
            **kwargs: ignored.

        Returns:
            Scalar float32.
        """
        cost = self._cost(teacher_outputs, student_outputs)
        plan = self._plan(cost, teacher_outputs, student_outputs)
        return functional.transport_loss(plan, cost)

    def _cost(self, teacher_outputs, student_outputs):
        """One minus the cosine of every frame with every text unit."""
        speech, text = (
            self.real_embeddings(self.local_units(units))
            for units in (student_outputs, teacher_outputs)
        )
        return 1.0 - functional.similarity_matrix(speech, text)

    def _plan(self, cost, teacher_outputs, student_outputs):
        """The plan at a cost, between the weights of the two sides."""
        return functional.sinkhorn_plan(
            cost,
            self.unit_weights(student_outputs),
            self.unit_weights(teacher_outputs),
            student_outputs["mask"],
            teacher_outputs["mask"],
            self.epsilon,
            self.iterations,
        )

    def get_config(self):
        """Arguments that rebuild this loss."""
        config = super().get_config()
        del config["stop_significance_gradient"]
        return {**config, "epsilon": self.epsilon, "iterations": self.iterations}
