"""Results of runs: JSON beside the run, tables in the terminal."""

import dataclasses
import importlib.metadata
import json
import math
import os
import pathlib

import keras
from rich.console import Console
from rich.table import Table

from pad_keras.files import write_atomically

_PROJECT = pathlib.Path(__file__).parents[1]
_PACKAGES = ("keras", "keras-hub", "tensorflow", "jax", "torch", "numpy")


def write_json(path, value):
    """Write JSON atomically.

    Args:
        path: path; its parents are created.
        value: anything JSON knows, and paths and dataclasses.
    """
    write_atomically(pathlib.Path(path), json.dumps(plain(value), indent=2) + "\n")


def plain(value):
    """A dataclass, or any nest of them, as JSON's types.

    Args:
        value: dataclass, dict, sequence, path or scalar.

    Returns:
        Dict, list or scalar.
    """
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and math.isnan(value):
        # JSON has no NaN.
        return None
    # What lies in the project is named from there: a project that is moved stays the same.
    if isinstance(value, pathlib.PurePath):
        return str(value.relative_to(_PROJECT) if value.is_relative_to(_PROJECT) else value)
    if isinstance(value, str):
        return value.removeprefix(f"{_PROJECT}{os.sep}")
    return value


def decisive(configuration, free):
    """The fields of a configuration that decide its numbers.

    Args:
        configuration: nest of dicts, as `plain` gives it.
        free: sequence of str, the dotted names of the fields that do not.

    Returns:
        Dict from dotted name to value.

    Example:

    ```python
    decisive({"out": "runs", "training": {"seed": 3}}, free=("out",))  # {"training.seed": 3}
    ```
    """
    return {name: value for name, value in _flat(configuration).items() if name not in free}


def _flat(configuration, prefix=""):
    flat = {}
    for name, value in configuration.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def corpus_hash(utterances):
    """Hash of what a corpus says and of the sizes of its recordings.

    Recordings that were encoded anew have another one.

    Args:
        utterances: list of `pad_keras.data.Utterance`.

    Returns:
        str.
    """
    # Where nothing is hashed, as in a pretraining, TensorFlow need not be installed.
    from pad_keras.data.fingerprints import text_hash

    told = [[u.id, u.text, dict(u.labels), u.part, os.stat(u.audio).st_size] for u in utterances]
    return text_hash(json.dumps(told))


def versions():
    """What a result was computed with.

    Returns:
        Dict of the backend and the versions of the packages that are installed.
    """
    found = {"backend": keras.backend.backend()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def print_table(title, columns, rows):
    """Print a table to the terminal.

    Args:
        title: str.
        columns: list of str.
        rows: list of lists; floats are shown with three decimals.
    """
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console().print(table)
