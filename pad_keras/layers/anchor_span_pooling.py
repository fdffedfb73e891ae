"""Anchor-based adaptive span aggregation (AASA) as a Keras layer."""

import math

import keras
from keras import ops

from pad_keras.losses import functional

ANCHOR_SELECTIONS = ("significant", "even")
POOLINGS = ("mean", "significance")


@keras.saving.register_keras_serializable(package="pad_keras")
class AnchorSpanPooling(keras.layers.Layer):
    """Pools frames into spans as long as a text unit, around the most significant frames.

    Per utterance of n frames and m text units, `min(n, max(1, floor(a m + 1/2)))` anchor frames
    are chosen, a span of `z n / m` frames is laid about each for every scale z, and the frames of
    each span are averaged.

    Args:
        anchors_per_unit: float > 0, anchors per text unit (a).
        radius: int >= 0, half width in frames of the window of a local maximum of the prior.
        scales: sequence of floats > 0, span widths in mean frames per text unit (z).
        anchor_selection: `"significant"`, or `"even"` for an even stride.
        pooling: `"mean"`, or `"significance"` for a mean weighted by the prior.
        stop_significance_gradient: bool, whether pooling weights are constants.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        units: dict of speech units: `embeddings` `[batch, frames, dim]`, `significance` and
            `mask` `[batch, frames]`; valid frames come first.
        text_mask: `[batch, text_units]`, true where a text unit is real.

    Returns:
        Dict of `embeddings` `[batch, spans, dim]` float32, `mask` `[batch, spans]` bool, `starts`
        and `ends` `[batch, spans]` int32 in frames (end exclusive), `anchors` `[batch, anchors]`
        int32, -1 where there is none.

    Raises:
        ValueError: for an unknown option or a value out of range.

    Reference:
        PAD (arXiv 2303.03600), anchor-based adaptive span aggregation.

    Example:

    ```python
    spans = AnchorSpanPooling(anchors_per_unit=2.0)(speech_units, text_units["mask"])
    ```
    """

    def __init__(
        self,
        anchors_per_unit=2.0,
        radius=2,
        scales=(0.5, 1.0, 2.0),
        anchor_selection="significant",
        pooling="mean",
        stop_significance_gradient=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 < anchors_per_unit < math.inf:
            raise ValueError(f"`anchors_per_unit` must be positive, got {anchors_per_unit}.")
        if radius < 0 or int(radius) != radius:
            raise ValueError(f"`radius` must be a whole number of frames >= 0, got {radius}.")
        scales = tuple(scales)
        if not scales or not all(0 < scale < math.inf for scale in scales):
            raise ValueError(f"`scales` must hold positive numbers, got {scales}.")
        if anchor_selection not in ANCHOR_SELECTIONS:
            raise ValueError(
                f"`anchor_selection` must be one of {ANCHOR_SELECTIONS}, got {anchor_selection!r}."
            )
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}, got {pooling!r}.")
        self.anchors_per_unit = float(anchors_per_unit)
        self.radius = int(radius)
        self.scales = tuple(float(scale) for scale in scales)
        self.anchor_selection = anchor_selection
        self.pooling = pooling
        self.stop_significance_gradient = stop_significance_gradient
        # Half precision embeddings go in as they are: sums are taken in float32.
        self.autocast = False
        self.built = True

    def call(self, units, text_mask):
        """Pool a batch; see the class for the arguments."""
        significance = units["significance"]
        if self.stop_significance_gradient:
            significance = ops.stop_gradient(significance)
        frame_counts, unit_counts = _count(units["mask"]), _count(text_mask)
        anchors = self.anchors(significance, units["mask"], text_mask)
        starts, ends = functional.anchor_spans(anchors, frame_counts, unit_counts, self.scales)
        embeddings, weights = units["embeddings"], None
        if self.pooling == "significance":
            # A weight's gradient is what it weighs, and padding may hold anything.
            embeddings = functional.valid_units(embeddings, units["mask"])
            weights = ops.where(ops.cast(units["mask"], "bool"), significance, 0.0)
        embeddings = functional.pool_spans(embeddings, starts, ends, weights=weights)
        return {
            "embeddings": embeddings,
            "mask": ends > starts,
            "starts": starts,
            "ends": ends,
            "anchors": anchors,
        }

    def compute_output_spec(self, units, text_mask):
        """Shapes and dtypes of the outputs; JAX cannot trace `call` with widths unknown."""
        batch, frames, dim = units["embeddings"].shape
        anchors = self._most_anchors(frames, text_mask.shape[1])
        spans = None if anchors is None else anchors * len(self.scales)
        return {
            "embeddings": keras.KerasTensor((batch, spans, dim), "float32"),
            "mask": keras.KerasTensor((batch, spans), "bool"),
            "starts": keras.KerasTensor((batch, spans), "int32"),
            "ends": keras.KerasTensor((batch, spans), "int32"),
            "anchors": keras.KerasTensor((batch, anchors), "int32"),
        }

    def _most_anchors(self, frames, text_units):
        """Anchors that widths have room for; `None` if one is unknown."""
        if frames is None or text_units is None:
            return None
        return min(frames, functional.most_anchors(text_units, self.anchors_per_unit))

    def anchors(self, significance, mask, text_mask):
        """Anchor frames of each utterance.

        Args:
            significance: `[batch, frames]`, the speech units' prior.
            mask: `[batch, frames]`, true where a frame is real.
            text_mask: `[batch, text_units]`, true where a text unit is real.

        Returns:
            `[batch, anchors]` int32, -1 where there is none. Its width is static where the
            widths of the masks are.
        """
        counts = functional.anchor_counts(_count(mask), _count(text_mask), self.anchors_per_unit)
        max_anchors = self._most_anchors(mask.shape[1], text_mask.shape[1])
        if self.anchor_selection == "even":
            return functional.even_anchors(mask, counts, max_anchors)
        return functional.select_anchors(significance, mask, counts, self.radius, max_anchors)

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "anchors_per_unit": self.anchors_per_unit,
            "radius": self.radius,
            "scales": list(self.scales),
            "anchor_selection": self.anchor_selection,
            "pooling": self.pooling,
            "stop_significance_gradient": self.stop_significance_gradient,
        }


def _count(mask):
    """Number of valid entries of each row, int32."""
    return ops.sum(ops.cast(ops.cast(mask, "bool"), "int32"), axis=-1)
