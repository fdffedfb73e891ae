"""The best state of a head in a run, by a measure on the validation set."""

import math
import pathlib

import keras
import numpy as np
from keras import ops

from pad_keras.callbacks.model_state import sync_state
from pad_keras.callbacks.training_state import storable, stored_bytes
from pad_keras.files import replaced_file
from pad_keras.models.reading import reading


class BestHead(keras.callbacks.Callback):
    """Keeps a head's weights whenever a monitored value improves strictly, as SUPERB does.

    The weights of a frozen encoder are left out. `TrainingState(callbacks=[best])` keeps the best
    value over a resume.

    Args:
        path: path of the file, `*.npz`; it is replaced as a whole.
        monitor: str, name in the logs; greater is better.

    Attributes:
        best: float, the best value so far; `None` before the first.
        epoch: int, the epoch it came from, counted from 0.
    """

    def __init__(self, path, monitor):
        super().__init__()
        self.path = pathlib.Path(path)
        self.monitor = monitor
        self.best = None
        self.epoch = None

    def on_epoch_end(self, epoch, logs=None):
        """Save on strict improvement."""
        value = float(logs[self.monitor])
        if math.isnan(value) or (self.best is not None and value <= self.best):
            return
        self.best, self.epoch = value, epoch
        sync_state(self.model)
        arrays = [ops.convert_to_numpy(weight) for weight in head_weights(self.model)]
        # By number: names of layers are counted up in a process.
        arrays = {f"{index:04d}": storable(array) for index, array in enumerate(arrays)}
        with replaced_file(self.path, stored_bytes(arrays)) as file:
            np.savez(file, **arrays)

    def load(self, model):
        """Put the best weights into a model of the same architecture.

        Args:
            model: `UtteranceClassifier` or `SlotFiller`.

        Raises:
            FileNotFoundError: if none were saved.
            ValueError: naming the file, if it is broken.
        """
        with reading(self.path), np.load(self.path, allow_pickle=False) as file:
            for weight, name in zip(head_weights(model), sorted(file.files), strict=True):
                weight.assign(file[name])

    def get_state(self):
        """State for `TrainingState`."""
        return {"best": self.best, "epoch": self.epoch}

    def set_state(self, state):
        """Take a state back from `TrainingState`."""
        self.best, self.epoch = state["best"], state["epoch"]


def head_weights(model):
    """Weights that training a head may change.

    Args:
        model: `UtteranceClassifier` or `SlotFiller`.

    Returns:
        List of variables, in a fixed order.
    """
    if model.fine_tune:
        return model.weights
    frozen = {id(weight) for weight in model.backbone.weights}
    return [weight for weight in model.weights if id(weight) not in frozen]
