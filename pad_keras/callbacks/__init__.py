"""Callbacks of `fit`: TensorBoard, evaluation, checkpoints that resume exactly."""

from pad_keras.callbacks.alignment_evaluation import AlignmentEvaluation
from pad_keras.callbacks.alignment_summary import AlignmentSummary
from pad_keras.callbacks.best_student import BestStudent
from pad_keras.callbacks.training_state import TrainingState
from pad_keras.callbacks.training_summary import TrainingSummary

__all__ = [
    "AlignmentEvaluation",
    "AlignmentSummary",
    "BestStudent",
    "TrainingState",
    "TrainingSummary",
]
