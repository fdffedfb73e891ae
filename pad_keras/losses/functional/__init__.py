"""The mathematics of PAD as pure functions of `keras.ops` tensors."""

from pad_keras.losses.functional.alignment import (
    alignment_loss,
    best_similarity,
    centre_units,
    cosine_distance,
    l1_distance,
    maximum_similarity,
    similarity_matrix,
    squared_distance,
    unit_vectors,
    valid_units,
    weighted_mean,
)
from pad_keras.losses.functional.ctc import ctc_feasible, ctc_loss
from pad_keras.losses.functional.info_nce import info_nce_loss, late_interaction, same_texts
from pad_keras.losses.functional.pretraining import (
    contrastive_loss,
    cosine_logits,
    diversity_loss,
    draw_negatives,
    masked_cross_entropy,
)
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
    most_anchors,
    pool_spans,
    select_anchors,
    span_sums,
    take_frames,
    word_spans,
)
from pad_keras.losses.functional.transport import sinkhorn_plan, transport_loss

__all__ = [
    "alignment_loss",
    "anchor_counts",
    "anchor_spans",
    "best_similarity",
    "centre_units",
    "contrastive_loss",
    "cosine_distance",
    "cosine_logits",
    "ctc_feasible",
    "ctc_loss",
    "diversity_loss",
    "draw_negatives",
    "even_anchors",
    "info_nce_loss",
    "l1_distance",
    "late_interaction",
    "masked_cross_entropy",
    "maximum_similarity",
    "mean_prior",
    "most_anchors",
    "normalize_weights",
    "pool_spans",
    "received_attention",
    "same_texts",
    "select_anchors",
    "significance_prior",
    "similarity_matrix",
    "sinkhorn_plan",
    "span_sums",
    "squared_distance",
    "take_frames",
    "transport_loss",
    "uniform_weights",
    "unit_vectors",
    "valid_units",
    "weighted_mean",
    "word_spans",
]
