"""Labels of utterances and their ids."""

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
        Dict from group to list of int.

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
    return found
