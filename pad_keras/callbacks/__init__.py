"""Callbacks of `fit`: TensorBoard, evaluation, checkpoints that resume exactly."""

import importlib

_MODULES = {
    "AlignmentEvaluation": "alignment_evaluation",
    "AlignmentSummary": "alignment_summary",
    "BestStudent": "best_student",
    "TrainingState": "training_state",
    "TrainingSummary": "training_summary",
}

__all__ = sorted(_MODULES)


def __getattr__(name):
    """Import on first access: some need TensorFlow, checkpoints work without."""
    if name in _MODULES:
        module = importlib.import_module(f"pad_keras.callbacks.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'pad_keras.callbacks' has no attribute {name!r}")
