"""Labels of utterances and their ids."""

import numpy as np

from pad_keras.data.problems import BadInputError


def label_names(train, groups=None):
    """Names of the labels of each group, in order of first appearance: their ids.

    Args:
        train: list of `Utterance`.
        groups: sequence of label groups. Defaults to those of the first utterance.

    Returns:
        Dict from group to tuple of str.

    Example:

    ```python
    label_names(fluent_speech_commands(root, "train"))["action"]
    ```
    """
    groups = tuple(train[0].labels) if groups is None else groups
    return {group: tuple(dict.fromkeys(u.labels[group] for u in train)) for group in groups}


def label_ids(utterances, names):
    """Ids of the labels of utterances.

    Args:
        utterances: list of `Utterance`.
        names: dict from group to tuple of str, as `label_names` gives it.

    Returns:
        Dict from group to `[utterances]` int32 array.

    Raises:
        BadInputError: naming the utterance whose label training does not know.
    """
    ids = {group: {name: i for i, name in enumerate(known)} for group, known in names.items()}
    found = {group: [] for group in names}
    for utterance in utterances:
        for group in names:
            label = utterance.labels.get(group)
            if label not in ids[group]:
                raise BadInputError(
                    f"{utterance.id}: the {group} {label!r} is none that training knows: "
                    f"{sorted(ids[group])}."
                )
            found[group].append(ids[group][label])
    return {group: np.array(found[group], "int32") for group in names}


def slot_targets(utterances, vocabulary):
    """What slot filling is to write for each utterance.

    Args:
        utterances: list of `Utterance` with `text` and `labels["slots"]`, as `audio_snips` gives
            them.
        vocabulary: `pad_keras.models.SlotVocabulary`.

    Returns:
        Dict of `ids` `[utterances, longest]` int32, padded with 0, and `length` `[utterances]`
        int32.

    Raises:
        BadInputError: naming the utterance whose words and slots do not fit.
    """
    rows = []
    for utterance in utterances:
        try:
            rows.append(vocabulary.encode(utterance.text, utterance.labels["slots"]))
        except ValueError as error:
            raise BadInputError(f"{utterance.id}: {error}") from error
    lengths = np.array([len(row) for row in rows], "int32")
    ids = np.zeros((len(rows), lengths.max(initial=1)), "int32")
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return {"ids": ids, "length": lengths}
