"""Small labelled subsets: k utterances of each class."""

import warnings

import numpy as np


def few_shot(utterances, shots, groups=None, seed=0):
    """Draw `shots` utterances of each class.

    A class is a combination of labels: an intent is one of action, object and location together.

    Args:
        utterances: list of `Utterance` with labels.
        shots: int; `None` keeps all.
        groups: sequence of the label groups that make a class. Defaults to those of the first
            utterance.
        seed: int; the same seed gives the same subset, and a smaller one lies within a greater.

    Returns:
        List of `Utterance` in the order given. A class that has fewer keeps all it has, with a
        warning.

    Raises:
        ValueError: if `shots` is less than 1.

    Example:

    ```python
    few_shot(fluent_speech_commands(root, "train"), shots=10, seed=1)
    ```
    """
    if shots is None:
        return list(utterances)
    if shots < 1:
        raise ValueError(f"`shots` must be at least 1, or None for everything; got {shots}.")
    groups = tuple(utterances[0].labels) if groups is None else tuple(groups)
    classes = {}
    for index in np.random.default_rng(seed).permutation(len(utterances)):
        label = tuple(utterances[index].labels[group] for group in groups)
        classes.setdefault(label, []).append(index)
    short = {label: len(found) for label, found in classes.items() if len(found) < shots}
    if short:
        warnings.warn(f"{shots} shots were asked for; fewer are there of {short}.", stacklevel=2)
    chosen = sorted(index for found in classes.values() for index in found[:shots])
    return [utterances[index] for index in chosen]
