"""What the tasks differ in: the head, its targets, what it answers and how that is scored."""

import collections

import numpy as np
from keras import ops

from pad_keras import data, metrics, models


class Classification:
    """Intent classification and emotion recognition.

    Args:
        labels: dict from group to the names of its labels.
    """

    monitor = "exact_match"
    # Only what is above the mean over frames is not linear, so the encoder's mean suffices.
    pooled = True

    def __init__(self, labels):
        self.labels = labels
        # What few-shot subsets are balanced over.
        self.classes = tuple(labels)

    def build(self, encoder, recipe, fine_tune, layers=None):
        """A new head.

        Args:
            encoder: `Wav2Vec2Backbone`.
            recipe: `Recipe`.
            fine_tune: bool.
            layers: sequence of int, the hidden states to weigh; `None` for all.

        Returns:
            `UtteranceClassifier`.
        """
        return models.UtteranceClassifier(
            encoder,
            self.labels,
            projection_dim=recipe.projection_dim,
            fine_tune=fine_tune,
            layers=layers,
        )

    def targets(self, utterances):
        """What the head is to answer, as `pipeline` takes it."""
        return data.label_ids(utterances, self.labels)

    def answers(self, model, batches):
        """Scores of all utterances of a pipeline.

        Args:
            model: `UtteranceClassifier`.
            batches: `tf.data.Dataset`.

        Returns:
            Dict from group to `[utterances, labels]` array.
        """
        parts = list(_outputs(model, batches))
        return {group: np.concatenate([p[group] for p in parts]) for group in self.labels}

    def scores(self, answers, utterances):
        """Measures of answers.

        Args:
            answers: as `answers` gives them.
            utterances: list of `Utterance`, in the same order.

        Returns:
            Dict of floats.
        """
        metric = metrics.ExactMatch()
        metric.update_state(self.targets(utterances), answers)
        return {"exact_match": float(metric.result())}

    def chance(self, train, utterances):
        """Measures of always answering what training says most often."""
        most = collections.Counter(self._class(u) for u in train).most_common(1)[0][0]
        return {"exact_match": float(np.mean([self._class(u) == most for u in utterances]))}

    def _class(self, utterance):
        return tuple(utterance.labels[group] for group in self.labels)

    def select(self, answers, chosen):
        """The answers of some utterances, by a boolean array."""
        return {group: values[chosen] for group, values in answers.items()}

    def texts(self, answers):
        """Answers as text, one an utterance."""
        best = {group: values.argmax(1) for group, values in answers.items()}
        rows = zip(*(np.array(self.labels[g])[ids] for g, ids in best.items()), strict=True)
        return [", ".join(row) for row in rows]

    def references(self, utterances):
        """The right answers as text, one an utterance."""
        return [", ".join(self._class(utterance)) for utterance in utterances]


class SlotFilling:
    """Slot filling.

    Args:
        labels: dict of `"slots"`, the slots' names.
    """

    monitor = "slot_type_f1"
    pooled = False
    classes = ("intent",)

    def __init__(self, labels):
        self.vocabulary = models.SlotVocabulary(labels["slots"])

    def build(self, encoder, recipe, fine_tune, layers=None):
        """A new `SlotFiller`; for the arguments see `Classification.build`."""
        return models.SlotFiller(
            encoder,
            self.vocabulary.slots,
            projection_dim=recipe.projection_dim,
            lstm_dim=recipe.lstm_dim,
            spec_augment=recipe.spec_augment,
            fine_tune=fine_tune,
            layers=layers,
        )

    def targets(self, utterances):
        """What the head is to write, as `pipeline` takes it."""
        return data.slot_targets(utterances, self.vocabulary)

    def answers(self, model, batches):
        """Texts with markers of all utterances of a pipeline.

        Args:
            model: `SlotFiller`.
            batches: `tf.data.Dataset`.

        Returns:
            List of str.
        """
        return [text for outputs in _outputs(model, batches) for text in model.texts(outputs)]

    def scores(self, answers, utterances):
        """F1 of slot types and error rate of slot values; see `Classification.scores`."""
        f1, cer = metrics.SlotTypeF1(), metrics.SlotValueCER()
        for metric in (f1, cer):
            metric.update_state(self.references(utterances), answers)
        return {"slot_type_f1": float(f1.result()), "slot_value_cer": float(cer.result())}

    def chance(self, train, utterances):
        """Measures of always answering nothing."""
        return self.scores([""] * len(utterances), utterances)

    def select(self, answers, chosen):
        """The answers of some utterances, by a boolean array."""
        return [answer for answer, is_chosen in zip(answers, chosen, strict=True) if is_chosen]

    def texts(self, answers):
        """Answers as text, one an utterance."""
        return list(answers)

    def references(self, utterances):
        """The right texts with markers, one an utterance."""
        encode, decode = self.vocabulary.encode, self.vocabulary.decode
        return [decode(encode(u.text, u.labels["slots"])) for u in utterances]


def task_of(settings, splits):
    """The task of an experiment.

    Args:
        settings: `Understanding`.
        splits: `Splits`.

    Returns:
        `Classification` or `SlotFilling`.
    """
    return (SlotFilling if settings.task == "sf" else Classification)(splits.labels)


def scores_by_part(task, answers, utterances):
    """Measures of all utterances, and of each named part of them.

    Args:
        task: `Classification` or `SlotFilling`.
        answers: as `task.answers` gives them.
        utterances: list of `Utterance`, in the same order.

    Returns:
        Dict from part (`"all"` first) to dict of floats.
    """
    found = {"all": task.scores(answers, utterances)}
    for part in sorted({u.part for u in utterances if u.part}):
        chosen = np.array([utterance.part == part for utterance in utterances])
        there = [u for u in utterances if u.part == part]
        found[part] = task.scores(task.select(answers, chosen), there)
    return found


def _outputs(model, batches):
    """A model's outputs batch by batch, as NumPy; widths differ, so `predict` cannot join them."""
    # JAX's compiled functions take no TensorFlow tensors.
    for batch in batches.as_numpy_iterator():
        inputs = batch[0] if isinstance(batch, tuple) else batch
        outputs = model.predict_on_batch(inputs)
        yield {name: ops.convert_to_numpy(value) for name, value in outputs.items()}
