"""Checkpoints from which a killed run goes on as if it had never stopped."""

import json
import pathlib
import warnings

import keras
import numpy as np
from keras import ops

from pad_keras.callbacks.model_state import sync_state
from pad_keras.files import replaced_file

_META = "meta"
_TORCH = "torch_generator_"
_KEYS = {"epoch", "fingerprint", "history", "callbacks"}


class TrainingState(keras.callbacks.Callback):
    """Saves, after an epoch, everything that training changes, in one file and atomically.

    That is the model's variables (but a teacher's and a frozen encoder's), the states of random
    generators, the optimizer's variables, the epoch, the history of logs and the states of other
    callbacks. Keras' `BackupAndRestore` writes weights and epoch one after the other and leaves out
    the random states, so a resumed run there is another run.

    Put it last in the list of callbacks.

    Args:
        folder: path of the checkpoints.
        fingerprint: dict of what must not change between the runs, such as the configuration.
        callbacks: list of callbacks with `get_state()` and `set_state(state)` (JSON values).
        every: int, in epochs; the last one is always saved.

    Attributes:
        history: list of dicts, the logs of all epochs, resumed ones too.

    Example:

    ```python
    state = TrainingState("runs/a/state", fingerprint=config)
    start = state.restore(model)
    model.fit(data(start), initial_epoch=start, epochs=10, callbacks=[state])
    ```
    """

    def __init__(self, folder, fingerprint=None, callbacks=(), every=1):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.fingerprint = json.loads(json.dumps(fingerprint or {}, default=str))
        self.callbacks = list(callbacks)
        self.every = every
        self.history = []
        self._generators = {}

    @property
    def path(self):
        """The newest checkpoint."""
        return self.folder / "state.npz"

    @property
    def previous_path(self):
        """The one before, for when the newest turns out broken."""
        return self.folder / "state.previous.npz"

    def on_train_batch_begin(self, batch, logs=None):
        """Put torch's generators back; `fit` drew from them to build models and load data."""
        _set_torch_generators(self._generators)
        self._generators = {}

    def on_epoch_end(self, epoch, logs=None):
        """Save after the epoch."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch, **logs})
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs"):
            self.save(self.model, epoch + 1)

    def save(self, model, epoch):
        """Write a checkpoint.

        Args:
            model: compiled `keras.Model`.
            epoch: int, epochs done.

        Raises:
            OSError: if the disk has too little room; the checkpoints before stay.
        """
        sync_state(model)
        arrays = {
            name: storable(ops.convert_to_numpy(variable))
            for name, variable in _variables(model).items()
        }
        arrays |= _torch_generators()
        meta = {
            "epoch": epoch,
            "fingerprint": self.fingerprint,
            "history": self.history,
            "callbacks": [callback.get_state() for callback in self.callbacks],
        }
        with replaced_file(
            self.path, stored_bytes(arrays), durable=True, previous=self.previous_path
        ) as file:
            np.savez(file, **{_META: np.array(json.dumps(meta))}, **arrays)

    def restore(self, model):
        """Go back to the newest checkpoint, if there is one.

        Args:
            model: compiled and built `keras.Model`.

        Returns:
            int, epochs done: `initial_epoch` of `fit`.

        Raises:
            ValueError: if the checkpoint is of another configuration or model, or both
                checkpoints are broken.
        """
        there = [path for path in (self.path, self.previous_path) if path.exists()]
        for path in there:
            try:
                with np.load(path, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
                meta = json.loads(str(arrays.pop(_META)))
                _check_contents(arrays, meta)
            except Exception as error:  # A damaged archive raises errors of many kinds.
                warnings.warn(f"The checkpoint {path} is broken ({error}).", stacklevel=2)
                continue
            self._assign(model, arrays, meta, path)
            return meta["epoch"]
        if there:
            raise ValueError(
                f"No checkpoint in {self.folder} can be read; remove the folder to start anew."
            )
        # What `fit` draws before its first batch depends on which models have run in this process.
        self._generators = _torch_generators()
        return 0

    def _assign(self, model, arrays, meta, path):
        if changes := differences(meta["fingerprint"], self.fingerprint):
            raise ValueError(
                f"The checkpoint {path} is of another configuration ({changes}). Give the old "
                "one to go on, or another folder to start anew."
            )
        if len(meta["callbacks"]) != len(self.callbacks):
            raise ValueError(
                f"The checkpoint {path} has the states of {len(meta['callbacks'])} callbacks, and "
                f"`callbacks` has {len(self.callbacks)}. Give as many to go on, or another folder "
                "to start anew."
            )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        generators = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_TORCH)}
        variables = _variables(model)
        shapes = {name: tuple(v.shape) for name, v in variables.items()}
        found = {name: array.shape for name, array in arrays.items()}
        if shapes != found:
            odd = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
            raise ValueError(f"The checkpoint {path} is of another model; it differs in {odd[:5]}.")
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self._generators = generators
        for callback, state in zip(self.callbacks, meta["callbacks"], strict=True):
            callback.set_state(state)
        self.history = meta["history"]


def _check_contents(arrays, meta):
    """Refuse what `save` never wrote, before anything of it is used."""
    if not isinstance(meta, dict) or _KEYS - meta.keys():
        raise ValueError(f"its description must have {sorted(_KEYS)}")
    odd = [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    if odd:
        raise ValueError(f"these are no numbers: {odd[:5]}")


def _variables(model):
    """Variables that training changes, by a name that is the same in every process."""
    # Keras' own models have none.
    parts = getattr(model, "frozen_parts", list)()
    frozen = {id(variable) for part in parts for variable in part.variables}
    kept = [v for v in model.variables if id(v) not in frozen]
    named = {}
    for group, variables in (("model", kept), ("optimizer", model.optimizer.variables)):
        for index, variable in enumerate(variables):
            # Paths hold numbers that Keras counts up in a process; order and shape do not.
            named[f"{group}_{index:04d}"] = variable
    return named


def _torch_generators():
    """States of torch's own generators: Keras' dropout there draws from them, not its seeds."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return {f"{_TORCH}{index}": state.numpy() for index, state in enumerate(states)}


def _set_torch_generators(states):
    """Put back what `_torch_generators` gave; a GPU that is no longer there is passed over."""
    if keras.backend.backend() != "torch" or not states:
        return
    import torch

    cpu, *gpus = (torch.from_numpy(states[name]) for name in sorted(states))
    torch.set_rng_state(cpu)
    for device, state in zip(range(torch.cuda.device_count()), gpus, strict=False):
        torch.cuda.set_rng_state(state, device)


def differences(was, now):
    """What differs between two fingerprints.

    Args:
        was: dict of JSON's types.
        now: dict of JSON's types.

    Returns:
        str, for a message; empty if nothing does.
    """
    names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return ", ".join(f"{name}: {was.get(name)!r} -> {now.get(name)!r}" for name in names)


def storable(array):
    """An array as NumPy's file format can hold it: it knows no bfloat16.

    Args:
        array: array.

    Returns:
        The array; in place of bfloat16 float32, which holds its values exactly.
    """
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def stored_bytes(arrays):
    """How much room arrays take on a disk.

    Args:
        arrays: dict of arrays.

    Returns:
        int, bytes.
    """
    return sum(array.nbytes for array in arrays.values())
