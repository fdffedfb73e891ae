"""A frozen encoder's hidden states of a corpus, computed once and kept on disk."""

import functools
import json
import os
import pathlib

import numpy as np
from keras.utils import Progbar

from pad_keras.data import state_folder
from pad_keras.data.fingerprints import StaleCacheError, text_hash
from pad_keras.data.problems import BadInputError
from pad_keras.data.state_encoding import encoded
from pad_keras.data.state_files import read_states, why_unreadable, write_states
from pad_keras.data.state_layout import TEXT, StateLayout


class HiddenStateCache:
    """Hidden states of utterances, read from a folder that `build` wrote.

    A head on a frozen encoder trains from them as from the audio, without the encoder's work in
    every epoch. One folder may hold the states of several corpora or splits by one encoder. States
    of audio whose size or time of change is another since are never read again; they go when the
    folder does.

    With `pooled=True` only the mean of each layer's states over the utterance's frames is kept, in
    float32. An `UtteranceClassifier` needs no more: up to its own mean over frames its head is
    linear (a weighted sum of layers, a projection), so the mean of the projected frames is the
    projection of the mean frame. A head that looks at single frames (`SlotFiller`) needs them all.

    Args:
        folder: path.

    Attributes:
        layout: `StateLayout`.

    Raises:
        FileNotFoundError: if the folder holds no cache.
        StaleCacheError: if its description is damaged.

    Example:

    ```python
    cache = HiddenStateCache.build(student, train, "runs/states", pooled=True)
    batches = pipeline(train, 32, states=cache, targets=label_ids(train, labels), shuffle=True)
    classifier = UtteranceClassifier(student, labels)
    classifier.compile()
    classifier.fit(batches, epochs=50)
    ```
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.layout = state_folder.read_layout(self.folder)
        self._fingerprint = state_folder.read_fingerprint(self.folder)

    @classmethod
    def build(cls, backbone, utterances, folder, *, pooled=False, dtype="float16", batch_size=8):
        """Compute and write the states of a corpus, but those that are there and fresh.

        Each utterance's file appears when it is complete, so a build that was killed goes on where
        it was. The states of another encoder, or kept in another way, are removed, with a line in
        the log that says what differs. Their size is logged before the work.

        Args:
            backbone: `Wav2Vec2Backbone`; it runs in inference mode. One with
                `batch_independent=False` encodes utterances one at a time and unpadded, since its
                states would depend on the batch. An encoder may encode a corpus by itself, in a
                method `encoded(utterances, batch_size)` that yields what
                `pad_keras.data.state_encoding.encoded` does; if it reads transcripts, its attribute
                `source` is `"text"`.
            utterances: list of `Utterance`.
            folder: path.
            pooled: bool, whether to keep the mean over frames alone; see the class.
            dtype: `"float16"` or `"float32"`, of the states on disk; pooled ones are float32.
            batch_size: int, utterances that the encoder takes at a time.

        Returns:
            `HiddenStateCache`.

        Raises:
            ValueError: for another `dtype`, or naming an utterance that is given twice, is
                shorter than a frame, or has states that are NaN or too large for float16.
            BadInputError: naming audio that cannot be read.
            OSError: if the disk has too little room; nothing has been computed then.
        """
        layout = StateLayout.of(backbone, pooled, dtype)
        _check_ids(utterances)
        folder = pathlib.Path(folder)
        state_folder.clear_if_stale(folder, layout, state_folder.fingerprint(backbone, layout))
        cache = cls(folder)
        missing = [u for u in utterances if cache.why_unreadable(cache.path(u))]
        if missing:
            state_folder.check_space(
                folder, layout.corpus_bytes(missing), len(missing), len(utterances)
            )
            progress = Progbar(len(missing), unit_name="utterance")
            encode = getattr(backbone, "encoded", functools.partial(encoded, backbone))
            for utterance, states in encode(missing, batch_size):
                cache._write(utterance, states)
                progress.add(1)
        return cache

    def check(self, utterances):
        """Refuse utterances that the cache does not hold, or that are given twice.

        Args:
            utterances: list of `Utterance`.

        Raises:
            StaleCacheError: naming the first such utterance.
            BadInputError: naming audio that is not there.
        """
        _check_ids(utterances)
        for utterance in utterances:
            path = self.path(utterance)
            reason = self.why_unreadable(path)
            if reason:
                raise StaleCacheError(
                    f"The folder {str(self.folder)!r} does not hold the hidden states of the "
                    f"utterance {utterance.id!r} with its present {self.layout.source} ({path}: "
                    f"{reason}); make them with HiddenStateCache.build."
                )

    def path(self, utterance):
        """File of an utterance's states; another one of another encoder, audio or text.

        Args:
            utterance: `Utterance`.

        Returns:
            `pathlib.Path`.

        Raises:
            BadInputError: if the audio is not there.
        """
        if self.layout.source == TEXT:
            identity = [utterance.id, utterance.text]
        else:
            identity = [utterance.id, *_audio_identity(utterance.audio)]
        # Who still holds the cache of an encoder before must not read the present one's states.
        key = text_hash(json.dumps([self._fingerprint, *identity]))
        return self.folder / key[:2] / f"{key}.bin"

    def read(self, path):
        """States of an utterance, in the tf.data graph.

        Args:
            path: scalar string tensor, as `path` gives it.

        Returns:
            `[layers + 1, frames, dim]` tensor in the dtype of the cache.
        """
        return read_states(path, self.layout)

    def why_unreadable(self, path):
        """Why a file of states cannot be read.

        Args:
            path: path, as `path` gives it.

        Returns:
            str, the reason; `None` if the file is whole.
        """
        return why_unreadable(path, self.layout)

    def _write(self, utterance, states):
        """Write one utterance's states `[layers + 1, frames, dim]`, refusing what is no number."""
        if self.layout.pooled:
            states = states.mean(axis=1, keepdims=True, dtype="float64")
        with np.errstate(over="ignore"):
            states = states.astype(self.layout.dtype)
        if not np.isfinite(states).all():
            raise ValueError(
                f"The hidden states of the utterance {utterance.id!r} hold NaN or exceed the range "
                f'of {self.layout.dtype}; use dtype="float32", and look at the encoder if it does '
                "not help."
            )
        write_states(self.path(utterance), states)


def bytes_needed(backbone, utterances, pooled=False, dtype="float16"):
    """Size on disk of the hidden states of a corpus, as durations promise it.

    Args:
        backbone: `Wav2Vec2Backbone`.
        utterances: list of `Utterance`.
        pooled: bool, as for `HiddenStateCache.build`.
        dtype: str, as for `HiddenStateCache.build`.

    Returns:
        int, bytes.
    """
    return StateLayout.of(backbone, pooled, dtype).corpus_bytes(utterances)


def _audio_identity(path):
    """What changes when an audio file does."""
    try:
        audio = os.stat(path)
    except FileNotFoundError:
        raise BadInputError(f"{path}: there is no such file") from None
    return path, audio.st_size, audio.st_mtime_ns


def _check_ids(utterances):
    """Refuse utterances that share an id."""
    seen = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise StaleCacheError(
                f"The utterance {utterance.id!r} is given twice; its hidden states are kept once. "
                "Give each utterance an id of its own, once."
            )
        seen.add(utterance.id)
