"""The one structure that every corpus is read into."""

import dataclasses
import itertools
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
    """Refuse splits that share a speaker.

    Args:
        train: list of `Utterance`.
        **splits: lists of `Utterance` by name, for example `valid=`, `test=`.

    Raises:
        ValueError: naming the splits and the shared speakers.

    Example:

    ```python
    check_disjoint_speakers(train, valid=valid, test=test)
    ```
    """
    speakers = {name: {u.speaker for u in split} for name, split in splits.items()}
    speakers = {"train": {u.speaker for u in train}, **speakers}
    for name, other in itertools.combinations(speakers, 2):
        if shared := sorted(speakers[name] & speakers[other]):
            raise ValueError(
                f"The splits {name!r} and {other!r} share the speakers {shared}; results would not "
                "be on unseen speakers. Remove them from one of the two."
            )
