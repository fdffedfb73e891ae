"""The best student of a run, as a KerasHub preset."""

import math
import pathlib

import keras
import numpy as np
from keras import ops

from pad_keras.callbacks.model_state import sync_state
from pad_keras.files import replaced_folder

_PROJECTION = "projection.npz"
_BYTES_OF_WEIGHT = 4


class NoStudentError(ValueError):
    """Nothing was saved: `fit` has not run, or the monitored value was never a number."""


class BestStudent(keras.callbacks.Callback):
    """Saves `model.student` as a preset whenever a monitored value improves.

    The folder is replaced as a whole. `TrainingState(callbacks=[best])` keeps the best value over
    a resume.

    The distiller's projection, if it has one, lies beside it as `projection.npz`.

    Args:
        folder: path of the preset.
        monitor: str, name in the logs.
        mode: `"min"` or `"max"`.

    Attributes:
        best: float, the best value so far.
        epoch: int, the epoch it came from, counted from 0.

    Raises:
        ValueError: for another `mode`, or if the logs lack the value.

    Example:

    ```python
    best = BestStudent("runs/a/best", monitor="val_loss")
    distiller.fit(train, validation_data=valid, callbacks=[best])
    Wav2Vec2Backbone.from_preset("runs/a/best")
    ```
    """

    def __init__(self, folder, monitor="val_loss", mode="min"):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"`mode` must be 'min' or 'max', got {mode!r}.")
        self.folder = pathlib.Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.best = None
        self.epoch = None

    def on_epoch_end(self, epoch, logs=None):
        """Save on strict improvement."""
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"`monitor` is {self.monitor!r} and the logs have {sorted(logs or {})}."
            )
        value = float(logs[self.monitor])
        if math.isnan(value):
            return
        sign = 1 if self.mode == "max" else -1
        if self.best is None or sign * value > sign * self.best:
            self.best, self.epoch = value, epoch
            sync_state(self.model)
            size = _BYTES_OF_WEIGHT * self.model.student.count_params()
            with replaced_folder(self.folder, size) as partial:
                self.model.student.save_to_preset(str(partial))
                if self.model.projection is not None:
                    weights = self.model.projection.get_weights()
                    kernel, bias = (ops.convert_to_numpy(weight) for weight in weights)
                    np.savez(partial / _PROJECTION, kernel=kernel, bias=bias)

    def load(self, distiller):
        """Put the best student, and the projection that it was trained with, into a distiller.

        Args:
            distiller: `AlignmentDistiller` of the same architecture.

        Raises:
            NoStudentError: if nothing was saved: `fit` has not run, or the value was never finite.
        """
        if self.best is None:
            raise NoStudentError(
                f"No student was saved in {str(self.folder)!r}: {self.monitor!r} had no value that "
                "is a number yet. Train first; if it diverged, lower the learning rate."
            )
        student = distiller.student
        student.load_weights(str(self.folder / "model.weights.h5"))
        if distiller.projection is not None:
            with np.load(self.folder / _PROJECTION, allow_pickle=False) as file:
                distiller.projection.set_weights([file["kernel"], file["bias"]])

    def get_state(self):
        """State for `TrainingState`."""
        return {"best": self.best, "epoch": self.epoch}

    def set_state(self, state):
        """Take a state back from `TrainingState`."""
        self.best, self.epoch = state["best"], state["epoch"]
