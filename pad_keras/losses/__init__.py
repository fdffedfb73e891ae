"""Alignment losses between the text units of a teacher and the speech units of a student."""

from pad_keras.losses import functional
from pad_keras.losses.base import AlignmentLoss
from pad_keras.losses.contrastive_alignment import ContrastiveAlignment
from pad_keras.losses.contrastive_span_alignment import ContrastiveSpanAlignment
from pad_keras.losses.global_alignment import GlobalAlignment
from pad_keras.losses.sequence_alignment import SequenceAlignment
from pad_keras.losses.span_alignment import SpanAlignment
from pad_keras.losses.token_alignment import TokenAlignment

__all__ = [
    "AlignmentLoss",
    "ContrastiveAlignment",
    "ContrastiveSpanAlignment",
    "GlobalAlignment",
    "SequenceAlignment",
    "SpanAlignment",
    "TokenAlignment",
    "functional",
]
