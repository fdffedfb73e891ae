"""The mathematics of PAD as pure functions of `keras.ops` tensors."""

from pad_keras.losses.functional.alignment import (
    alignment_loss,
    best_similarity,
    cosine_distance,
    l1_distance,
    similarity_matrix,
    squared_distance,
    unit_vectors,
    weighted_mean,
)
from pad_keras.losses.functional.ctc import ctc_feasible, ctc_loss
from pad_keras.losses.functional.significance import (
    mean_prior,
    normalize_weights,
    received_attention,
    significance_prior,
    uniform_weights,
)
from pad_keras.losses.functional.spans import (
    anchor_counts,
    anchor_spans,
    even_anchors,
    pool_spans,
    select_anchors,
    span_sums,
    take_frames,
)

__all__ = [
    "alignment_loss",
    "anchor_counts",
    "anchor_spans",
    "best_similarity",
    "cosine_distance",
    "ctc_feasible",
    "ctc_loss",
    "even_anchors",
    "l1_distance",
    "mean_prior",
    "normalize_weights",
    "pool_spans",
    "received_attention",
    "select_anchors",
    "significance_prior",
    "similarity_matrix",
    "span_sums",
    "squared_distance",
    "take_frames",
    "uniform_weights",
    "unit_vectors",
    "weighted_mean",
]
