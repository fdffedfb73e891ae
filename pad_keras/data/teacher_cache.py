"""The teacher's units of a corpus, computed once and kept on disk."""

import contextlib
import json
import logging
import pathlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras.utils import Progbar

from pad_keras.data.fingerprints import (
    StaleCacheError,
    config_hash,
    damage_explained,
    text_hash,
    tokenizer_hash,
    weights_hash,
)
from pad_keras.data.growing_array import GrowingArray
from pad_keras.data.text import TextTokenizer, check_transcripts, piece_counts
from pad_keras.files import replaced_folder

_META = "meta.json"
_FORMAT = 2
_BYTES_IN_MB = 1e6


class TeacherCache:
    """Units of text, read from a folder that `build` wrote.

    Only units are kept (no [CLS], no padding), of each text once, as flat arrays that are written
    piece by piece and mapped, not loaded: what is in memory does not grow with the units.

    Args:
        folder: path.

    Raises:
        FileNotFoundError: if the folder holds no complete cache.
        StaleCacheError: if what it holds is damaged.

    Example:

    ```python
    cache = TeacherCache.build(teacher, utterances, "runs/cache")
    dataset = pipeline(utterances, 8, text=cache)
    ```
    """

    key = "text_units"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        if not (self.folder / _META).is_file():
            raise FileNotFoundError(
                f"No teacher cache in {str(folder)!r}; make one with TeacherCache.build."
            )
        with damage_explained(folder):
            self.meta = json.loads((self.folder / _META).read_text(encoding="utf-8"))
            self._arrays = {
                name: np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in self.meta["arrays"]
            }
            self._rows = dict(zip(self.meta["ids"], self.meta["rows"], strict=True))
            self._offsets = np.asarray(self._arrays["offsets"])
            self._check_arrays()
            self.max_units = int(np.diff(self._offsets).max())

    def _check_arrays(self):
        """Refuse arrays that do not belong together, which a reader would find in mid-training."""
        rows, counts = len(self.meta["texts"]), np.diff(self._offsets)
        expected = {"cls": rows, "offsets": rows + 1}
        lengths = {name: len(array) for name, array in self._arrays.items()}
        if (
            not set(self._rows.values()) <= set(range(rows))
            or lengths != {name: expected.get(name, self._offsets[-1]) for name in lengths}
            or not {"cls", "embeddings", "significance"} <= lengths.keys()
            or any(
                array.dtype.kind != ("i" if name == "offsets" else "f")
                or array.ndim != (2 if name in ("cls", "embeddings") else 1)
                for name, array in self._arrays.items()
            )
            or self._offsets[0] != 0
            or (counts < 0).any()
        ):
            raise ValueError(f"arrays of {lengths} do not fit {rows} texts")

    @classmethod
    def build(cls, teacher, utterances, folder, batch_size=64, dtype="float16"):
        """Compute and write the units of a corpus, or reuse those that are there and fresh.

        A stale cache is replaced, with a line in the log that says why. The folder appears only
        when it is complete.

        Args:
            teacher: `TextTeacher` with a tokenizer.
            utterances: list of `Utterance` with transcripts.
            folder: path.
            batch_size: int.
            dtype: `"float16"` or `"float32"`, of the embeddings on disk.

        Returns:
            `TeacherCache`.

        Raises:
            ValueError: naming an utterance without a transcript, or whose transcript has no word
                piece or more than the teacher takes; if units exceed float16.
            FileExistsError: if the folder holds files and no cache.
            OSError: if the disk has too little room.
        """
        try:
            return cls.open(teacher, utterances, folder, dtype)
        except FileNotFoundError:
            pass
        except StaleCacheError as error:
            logging.getLogger(__name__).warning("%s It is made anew.", error)
        _check_replaceable(pathlib.Path(folder))
        # Copies of an utterance at other speeds say the same.
        counts = _piece_counts(teacher, utterances)
        texts = list(counts)
        # Were each word piece a unit.
        size = sum(counts.values()) * teacher.hidden_dim * np.dtype(dtype).itemsize
        logging.getLogger(__name__).info(
            "teacher cache: %d texts, at most %.1f MB", len(texts), size / _BYTES_IN_MB
        )
        # Rows are there twice until their array is complete.
        with replaced_folder(folder, needed=2 * size) as partial:
            _write(teacher, utterances, texts, partial, batch_size, dtype)
        return cls(folder)

    @classmethod
    def open(cls, teacher, utterances, folder, dtype="float16"):
        """Open a cache and refuse a stale one.

        Args:
            teacher: `TextTeacher`.
            utterances: list of `Utterance`.
            folder: path.
            dtype: of the embeddings on disk.

        Returns:
            `TeacherCache`.

        Raises:
            FileNotFoundError: if there is none.
            StaleCacheError: naming what differs.
        """
        cache = cls(folder)
        now = fingerprint(teacher, utterances, dtype)
        with damage_explained(folder):
            was = dict(cache.meta["fingerprint"])
        differing = [name for name in now if was.get(name) != now[name]]
        if differing:
            raise StaleCacheError(
                f"The teacher cache in {str(folder)!r} is of another {' and '.join(differing)}."
            )
        return cache

    def check(self, utterances):
        """Refuse utterances that the cache does not hold.

        Args:
            utterances: list of `Utterance`.

        Raises:
            StaleCacheError: naming the first such utterance.
        """
        texts = self.meta["texts"]
        for utterance in utterances:
            row = self._rows.get(utterance.id)
            if row is None or texts[row] != text_hash(utterance.text or ""):
                raise StaleCacheError(
                    f"The teacher cache in {str(self.folder)!r} does not hold the utterance "
                    f"{utterance.id!r} with its present transcript."
                )

    def __call__(self, ids, transcripts):
        """Units of a batch, in the tf.data graph.

        Args:
            ids: `[batch]` string tensor.
            transcripts: `[batch]` string tensor; not used.

        Returns:
            Dict of `embeddings` `[batch, max_units, dim]` float32, `significance`, `mask` and, if
            known, `idf` `[batch, max_units]`, `cls` `[batch, dim]`.
        """
        names = [
            name for name in ("embeddings", "significance", "idf", "cls") if name in self._arrays
        ]
        types = [tf.float32] * len(names) + [tf.bool]

        def read(ids):
            units = self.units([uid.decode() for uid in ids])
            return [units[name] for name in (*names, "mask")]

        arrays = tf.numpy_function(read, [ids], types, stateful=False)
        units = dict(zip((*names, "mask"), arrays, strict=True))
        batch, dim = ids.shape[0], self._arrays["cls"].shape[1]
        shapes = {"embeddings": (batch, self.max_units, dim), "cls": (batch, dim)}
        for name, array in units.items():
            array.set_shape(shapes.get(name, (batch, self.max_units)))
        return units

    def units(self, ids):
        """Units of some utterances.

        Args:
            ids: list of str.

        Returns:
            Dict of NumPy arrays, as `__call__` gives them.
        """
        rows = [self._rows[uid] for uid in ids]
        mask = np.arange(self.max_units) < np.diff(self._offsets)[rows][:, None]
        units = {"mask": mask, "cls": np.asarray(self._arrays["cls"][rows], "float32")}
        for name in ("embeddings", "significance", "idf"):
            if name not in self._arrays:
                continue
            array = self._arrays[name]
            units[name] = np.zeros((*mask.shape, *array.shape[1:]), "float32")
            for index, row in enumerate(rows):
                start, end = self._offsets[row : row + 2]
                units[name][index, : end - start] = array[start:end]
        return units


def fingerprint(teacher, utterances, dtype="float16"):
    """What a cache depends on, as hashes.

    Args:
        teacher: `TextTeacher`.
        utterances: list of `Utterance`.
        dtype: of the embeddings on disk.

    Returns:
        Dict of str.
    """
    texts = "\n".join(f"{u.id}\t{u.text}" for u in sorted(utterances, key=lambda u: u.id))
    return {
        "teacher (weights)": weights_hash(teacher),
        # The backbone's entry holds the names that Keras numbers anew in every process.
        "teacher (configuration)": config_hash(teacher, leave_out=("backbone",)),
        "tokenizer": tokenizer_hash(teacher.tokenizer),
        "text": text_hash(texts),
        "format": f"{_FORMAT} {dtype}",
    }


def _write(teacher, utterances, texts, folder, batch_size, dtype):
    """Compute units batch by batch and write arrays, the description last."""
    tokenizer = TextTokenizer.for_utterances(teacher.tokenizer, utterances)
    counts, progress = [], Progbar(len(texts), unit_name="text")
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(batch_size)
    with contextlib.ExitStack() as files:
        columns = {}
        for inputs in batches.map(lambda batch: tokenizer(None, batch)).as_numpy_iterator():
            inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
            units = keras.tree.map_structure(ops.convert_to_numpy, teacher(inputs))
            mask = units.pop("mask")
            counts.extend(mask.sum(1))
            for name, values in units.items():
                if name not in columns:
                    columns[name] = files.enter_context(GrowingArray(folder / f"{name}.npy"))
                values = values if name == "cls" else values[mask]
                columns[name].append(
                    _as_numbers(values, dtype if name == "embeddings" else "float32")
                )
            progress.add(len(mask))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype("int64")
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    rows = {text: row for row, text in enumerate(texts)}
    meta = {
        "fingerprint": fingerprint(teacher, utterances, dtype),
        "arrays": sorted([*columns, "offsets"]),
        "ids": [utterance.id for utterance in utterances],
        "rows": [rows[utterance.text] for utterance in utterances],
        "texts": [text_hash(text) for text in texts],
    }
    (folder / _META).write_text(json.dumps(meta))


def _as_numbers(values, dtype):
    """Values in another dtype, if they are numbers there."""
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    if not np.isfinite(values).all():
        raise ValueError(
            f"The units of the teacher hold NaN or exceed the range of {dtype}; use "
            'dtype="float32", and look at the teacher if it does not help.'
        )
    return values


def _check_replaceable(folder):
    """Refuse to replace what is no cache."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _META).is_file():
        raise FileExistsError(
            f"{str(folder)!r} holds files and no teacher cache; give another folder, or remove it."
        )


def _piece_counts(teacher, utterances):
    """{text: number of its word pieces}, of texts that the teacher can take."""
    check_transcripts(utterances)
    ids = {}
    for utterance in utterances:
        ids.setdefault(utterance.text, utterance.id)
    counts = dict(zip(ids, piece_counts(teacher.tokenizer, ids), strict=True))
    most = teacher.backbone.max_sequence_length - 2
    for text, count in counts.items():
        if not 0 < count <= most:
            raise ValueError(
                f"The transcript of {ids[text]!r} has {count} word pieces; the teacher takes from "
                f"1 to {most}."
            )
    return counts
