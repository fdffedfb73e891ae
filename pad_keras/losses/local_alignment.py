"""What the losses share that compare single units, not pooled utterances."""

from pad_keras.losses import functional
from pad_keras.losses.base import AlignmentLoss


class LocalAlignmentLoss(AlignmentLoss):
    """Base class of losses between single units.

    A text encoder's units share much with their sentence: two tokens of one sentence may be far
    more alike than tokens of two sentences, and then a loss can fall although no frame has found
    its word. `centre_units=True` takes the mean unit of the utterance out of both sides before
    the cosine: a local loss then says what tells the units of an utterance apart, and leaves
    what they share to `GlobalAlignment`, which keeps seeing the units as they are.

    Args:
        weighting: see `AlignmentLoss`.
        stop_significance_gradient: bool, whether the weights are constants.
        name: str, name of this loss in logs.
        centre_units: bool, whether each utterance's mean unit is subtracted from its units, on
            both sides. Text of a single unit then says nothing.
    """

    def __init__(self, weighting, stop_significance_gradient, name, centre_units=False):
        super().__init__(weighting, stop_significance_gradient, name)
        self.centre_units = centre_units

    def local_units(self, units):
        """A side's units as this loss compares them.

        Args:
            units: dict of units.

        Returns:
            Dict of units, centred if `centre_units`.
        """
        if not self.centre_units:
            return units
        return {**units, "embeddings": functional.centre_units(units["embeddings"], units["mask"])}

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {**super().get_config(), "centre_units": self.centre_units}
