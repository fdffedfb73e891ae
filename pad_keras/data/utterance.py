"""The one structure that every corpus is read into."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class WordTime:
    """When a word is spoken.

    Args:
        word: str, as in the transcript.
        start: float, seconds from the start of the utterance.
        end: float, seconds.
    """

    word: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording and what is known of it.

    Args:
        id: str, unique in its corpus.
        audio: str, path of the audio file.
        speaker: str.
        seconds: float, duration as the file's header tells it.
        text: str, transcript; `None` where there is none.
        labels: mapping of label group to label, for example `{"action": "activate"}`.
        words: tuple of `WordTime`, empty where the times are not known.
        part: str, names the part of its split whose results are told apart, such as wordings that
            training does not have; empty where there are no parts.
    """

    id: str
    audio: str
    speaker: str
    seconds: float
    text: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    words: tuple[WordTime, ...] = ()
    part: str = ""


def total_hours(utterances):
    """Hours of audio of a list of utterances.

    Args:
        utterances: iterable of `Utterance`.

    Returns:
        float.
    """
    return sum(utterance.seconds for utterance in utterances) / 3600


def check_disjoint_speakers(train, **splits):
    """Refuse a split that shares a speaker with the training data.

    Args:
        train: list of `Utterance`.
        **splits: lists of `Utterance` by name, for example `valid=`, `test=`.

    Raises:
        ValueError: naming the split and the shared speakers.

    Example:

    ```python
    check_disjoint_speakers(train, valid=valid, test=test)
    ```
    """
    known = {utterance.speaker for utterance in train}
    for name, split in splits.items():
        shared = sorted(known & {utterance.speaker for utterance in split})
        if shared:
            raise ValueError(
                f"The split {name!r} shares the speakers {shared} with the training data; results "
                "on it would not be on unseen speakers. Remove them from one of the two."
            )
