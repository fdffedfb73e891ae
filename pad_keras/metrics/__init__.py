"""Measures: of alignment, without labels, and of spoken language understanding."""

from pad_keras.metrics.alignment import (
    frame_seconds,
    retrieval_recall,
    unit_words,
    word_overlap,
)
from pad_keras.metrics.exact_match import ExactMatch
from pad_keras.metrics.slots import SlotTypeF1, SlotValueCER, slot_spans

__all__ = [
    "ExactMatch",
    "SlotTypeF1",
    "SlotValueCER",
    "frame_seconds",
    "retrieval_recall",
    "slot_spans",
    "unit_words",
    "word_overlap",
]
