"""What all alignment losses share: checks of their inputs and the choice of weights."""

import keras
from keras import ops

from pad_keras.losses import functional

WEIGHTINGS = ("significance", "uniform", "idf")
UNIT_KEYS = ("embeddings", "significance", "mask")


class AlignmentLoss(keras.distillation.DistillationLoss):
    """Base class of losses between the text units of a teacher and the speech units of a student.

    Units are a dict: `embeddings` `[batch, units, dim]`, `significance` `[batch, units]` (a row
    sums to 1 over valid units), `mask` `[batch, units]`. A subclass implements `compute_loss`.

    Args:
        weighting: how the units are weighted: `"significance"` (the attention-based prior),
            `"uniform"` (no prior) or, for text units where a loss supports it, `"idf"` (inverse
            document frequency, read from the teacher units' entry `idf`).
        stop_significance_gradient: bool, whether the weights are constants (our choice: yes).
        name: str, name of this loss in logs.
    """

    weightings = ("significance", "uniform")

    def __init__(self, weighting="significance", stop_significance_gradient=True, name="alignment"):
        if weighting not in self.weightings:
            raise ValueError(
                f"`weighting` of {type(self).__name__} must be one of {self.weightings}, got "
                f"{weighting!r}."
            )
        self.weighting = weighting
        self.stop_significance_gradient = stop_significance_gradient
        self.name = name

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Loss of a batch.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.
            **kwargs: ignored; Keras's interface has it.

        Returns:
            Scalar float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement compute_loss.")

    def validate_outputs(self, teacher_outputs, student_outputs):
        """Check that both sides are units of one width, and of as many utterances.

        Args:
            teacher_outputs: dict of text units.
            student_outputs: dict of speech units.

        Raises:
            ValueError: if an entry is missing, or widths or numbers of utterances differ.
        """
        for side, units in (("teacher", teacher_outputs), ("student", student_outputs)):
            missing = [key for key in UNIT_KEYS if key not in units]
            if missing:
                raise ValueError(
                    f"The {side}'s units lack {missing}; expected a dict with {list(UNIT_KEYS)}, "
                    f"got {sorted(units)}."
                )
        widths = [units["embeddings"].shape[-1] for units in (teacher_outputs, student_outputs)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"The teacher's units are {widths[0]} wide and the student's {widths[1]}. Give "
                "the AlignmentDistiller a student of another width only together with its "
                "projection (`projection_dim`)."
            )
        sizes = [units["embeddings"].shape[0] for units in (teacher_outputs, student_outputs)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"The teacher's units are of {sizes[0]} utterances and the student's of "
                f"{sizes[1]}; a batch needs a text for each waveform."
            )

    def unit_weights(self, units, weighting=None):
        """Weights of a side's units.

        Args:
            units: dict of units.
            weighting: str. Defaults to this loss's.

        Returns:
            `[batch, units]` float32; a row sums to 1 over valid units.

        Raises:
            ValueError: if the weighting is `"idf"` and the units carry no `idf`.
        """
        key = weighting or self.weighting
        if key == "uniform":
            return functional.uniform_weights(units["mask"])
        if key not in units:
            raise ValueError(
                f"weighting={key!r} needs the entry {key!r} of the text units, got "
                f"{sorted(units)}. Call `TextTeacher.adapt_idf(transcripts)` before distilling."
            )
        # Renormalised here so that a caller's own weights behave, and padding has none of them.
        weights = functional.normalize_weights(units[key], units["mask"])
        return ops.stop_gradient(weights) if self.stop_significance_gradient else weights

    def pooled_units(self, units, weighting=None):
        """Weighted mean of a side's units, one vector an utterance.

        Args:
            units: dict of units.
            weighting: str. Defaults to this loss's.

        Returns:
            `[batch, dim]` float32.
        """
        return functional.weighted_mean(units["embeddings"], self.unit_weights(units, weighting))

    @staticmethod
    def real_embeddings(units):
        """Embeddings of a side with padding emptied, so that not even NaN in it spreads.

        Args:
            units: dict of units.

        Returns:
            `[batch, units, dim]` float32, zeros at padding.
        """
        return functional.valid_units(units["embeddings"], units["mask"])

    def get_config(self):
        """Arguments that rebuild this loss."""
        return {
            "weighting": self.weighting,
            "stop_significance_gradient": self.stop_significance_gradient,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild a loss from `get_config`."""
        return cls(**config)
