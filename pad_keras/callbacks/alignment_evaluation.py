"""Measures of alignment at the end of an epoch, in the logs of `fit`."""

import keras
import numpy as np

from pad_keras.callbacks.alignments import alignments
from pad_keras.metrics import retrieval_recall, unit_words, word_overlap


class AlignmentEvaluation(keras.callbacks.Callback):
    """Adds retrieval recall and, with word times, word overlap to the logs of an epoch.

    Put it first in the list of callbacks: those behind it see its entries.

    Args:
        dataset: `tf.data.Dataset` of an unshuffled `pipeline`.
        utterances: list of `Utterance` in the dataset's order (`pad_keras.data.batch_order`).
        tokenizer: the teacher's; needed for word overlap.
        k: sequence of int, for recall at k.
        every: int, in epochs; the last epoch is always measured.
        prefix: str, before the names in the logs.

    Example:

    ```python
    evaluation = AlignmentEvaluation(valid, batch_order(utterances, 8), teacher.tokenizer)
    distiller.fit(train, validation_data=valid, callbacks=[evaluation])
    # logs: val_recall_at_1, val_recall_at_10, val_word_overlap, val_word_overlap_chance
    ```
    """

    def __init__(self, dataset, utterances, tokenizer=None, k=(1, 10), every=1, prefix="val_"):
        super().__init__()
        self.dataset = dataset
        self.utterances = utterances
        self.tokenizer = tokenizer
        self.k = k
        self.every = every
        self.prefix = prefix

    def on_epoch_end(self, epoch, logs=None):
        """Measure and add to the logs."""
        is_last = epoch + 1 == self.params.get("epochs")
        if logs is not None and (is_last or (epoch + 1) % self.every == 0):
            logs.update({self.prefix + name: v for name, v in self.evaluate(self.model).items()})

    def evaluate(self, distiller):
        """Measure a distiller now.

        Args:
            distiller: `pad_keras.models.AlignmentDistiller`, compiled.

        Returns:
            Dict of floats.

        Raises:
            ValueError: if the dataset does not hold as many utterances as were given.
        """
        found = [one for batch in self.dataset for one in alignments(distiller, batch)]
        if len(found) != len(self.utterances):
            raise ValueError(
                f"The dataset gave {len(found)} utterances and `utterances` has "
                f"{len(self.utterances)}; give them in the dataset's order, none left out."
            )
        text, speech = (
            np.stack([getattr(one, side) for one in found]) for side in ("text", "speech")
        )
        values = retrieval_recall(text, speech, self.k)
        timed = [pair for pair in zip(found, self.utterances, strict=True) if pair[1].words]
        if timed and self.tokenizer is not None:
            text_units = getattr(distiller.teacher, "text_units", "token")
            values |= word_overlap(
                [one.best for one, _ in timed],
                [one.spans for one, _ in timed],
                [unit_times(utterance, self.tokenizer, text_units) for _, utterance in timed],
            )
        return values


def unit_times(utterance, tokenizer, text_units="token"):
    """Start and end of each text unit's word.

    Args:
        utterance: `Utterance` with word times.
        tokenizer: the teacher's.
        text_units: `"token"` or `"word"`.

    Returns:
        `[units, 2]` float array in seconds.

    Raises:
        ValueError: if the word times do not fit the transcript.
    """
    words = utterance.text.split()
    if len(words) != len(utterance.words):
        raise ValueError(
            f"{utterance.id}: {len(utterance.words)} word times for {len(words)} words."
        )
    times = np.array([(word.start, word.end) for word in utterance.words])
    return times[unit_words(utterance.text, tokenizer, text_units)]
