"""Measures of alignment that need no labels."""

from pad_keras.metrics.alignment import (
    frame_seconds,
    retrieval_recall,
    unit_words,
    word_overlap,
)

__all__ = ["frame_seconds", "retrieval_recall", "unit_words", "word_overlap"]
