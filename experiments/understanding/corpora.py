"""Splits of the three tasks' corpora, checked before anything is computed."""

import dataclasses
import itertools
import os

from pad_keras import data, models

# SUPERB's split of Audio SNIPS, whose folders hold more speakers than it takes.
SNIPS_SPEAKERS = {
    "train": (
        "Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli",
    ),
    "valid": ("Aditi", "Amy", "Geraint", "Nicole"),
    "test": ("Brian", "Emma", "Raveena", "Russell"),
}  # fmt: skip
_SPLITS = ("train", "valid", "test")
_TINY_COUNT = 16


@dataclasses.dataclass(frozen=True)
class Splits:
    """The utterances of one experiment.

    Args:
        train: list of `Utterance`.
        valid: list of `Utterance`.
        test: list of `Utterance`.
        labels: dict from group to the names of its labels; of slot filling, `"slots"` alone.
    """

    train: list
    valid: list
    test: list
    labels: dict

    def all(self):
        """Each utterance once, by id.

        Returns:
            List of `Utterance`.
        """
        return list({u.id: u for u in (*self.train, *self.valid, *self.test)}.values())


def read_splits(settings):
    """Read a task's corpus.

    Args:
        settings: `Understanding`.

    Returns:
        Dict from fold (`None` where there are no folds) to `Splits`.

    Raises:
        FileNotFoundError: if the corpus or a part of it is missing.
        ValueError: if a split has no utterance, or if two share a recording or, of emotions train
            and test, a speaker.
    """
    read = {"ic": _read_intents, "sf": _read_slots, "er": _read_emotions}[settings.task]
    found = read(settings)
    for fold, splits in found.items():
        _check_utterances(splits, settings.root)
        # IEMOCAP's validation set is drawn from the training sessions, as in SUPERB.
        others = {} if settings.task == "er" else {"valid": splits.valid}
        others["test"] = splits.test
        data.check_disjoint_speakers(splits.train, **others)
        check_disjoint_recordings(**{name: getattr(splits, name) for name in _SPLITS})
        if settings.tiny:
            few = {name: _some(getattr(splits, name)) for name in _SPLITS}
            found[fold] = dataclasses.replace(splits, **few)
    return found


def check_disjoint_recordings(**splits):
    """Refuse splits that share an audio file, under one path or several.

    Args:
        **splits: lists of `Utterance` by name, for example `train=`, `test=`.

    Raises:
        ValueError: naming two splits, how many files they share and one of them.
    """
    # Under two paths, or by links, it can be of two speakers.
    files = {name: {os.path.realpath(u.audio) for u in split} for name, split in splits.items()}
    for name, other in itertools.combinations(files, 2):
        if shared := sorted(files[name] & files[other]):
            raise ValueError(
                f"The splits {name!r} and {other!r} share {len(shared)} recordings, such as "
                f"{shared[0]!r}; results would not be on unseen speech. Remove them from one of "
                "the two."
            )


def describe(splits):
    """What a corpus holds, a line a split.

    Args:
        splits: `Splits`.

    Returns:
        str.
    """
    lines = []
    for name in _SPLITS:
        utterances = getattr(splits, name)
        speakers = len({utterance.speaker for utterance in utterances})
        minutes = data.total_hours(utterances) * 60
        lines.append(
            f"{name}: {len(utterances)} utterances of {speakers} speakers, {minutes:.1f} minutes"
        )
    return "\n".join(lines)


def _check_utterances(splits, root):
    for name in _SPLITS:
        if not getattr(splits, name):
            raise ValueError(f"The split {name!r} of {str(root)!r} has no utterance.")


def _read_intents(settings):
    splits = {
        name: _decodable(
            data.fluent_speech_commands(settings.root, name, on_error=settings.on_error), settings
        )
        for name in _SPLITS
    }
    names = data.label_names(splits["train"]) if splits["train"] else {}
    return {None: Splits(**splits, labels=names)}


def _read_slots(settings):
    splits = {}
    for name in _SPLITS:
        utterances = data.audio_snips(
            settings.root,
            name,
            speakers=_slot_speakers(settings.root / name, SNIPS_SPEAKERS[name]),
            on_error=settings.on_error,
        )
        splits[name] = _decodable(utterances, settings)
    vocabulary = models.SlotVocabulary.read(settings.root / "slots.txt")
    return {None: Splits(**splits, labels={"slots": vocabulary.slots})}


def _slot_speakers(folder, chosen):
    """SUPERB's speakers of a split; `None`, all, of a corpus of other speakers in this layout."""
    there = {path.stem.split("-")[0] for path in folder.rglob("*-snips-*")}
    others = set().union(*SNIPS_SPEAKERS.values()) - set(chosen)
    # The original has all speakers in every folder. If it lacks one of the split's, it is told.
    return chosen if set(chosen) <= there or others <= there else None


def _read_emotions(settings):
    utterances = _decodable(data.iemocap(settings.root, on_error=settings.on_error), settings)
    labels = {"emotion": data.EMOTIONS}
    return {
        fold: Splits(**data.iemocap_fold(utterances, fold), labels=labels)
        for fold in settings.resolved_folds
    }


def _decodable(utterances, settings):
    return data.decodable(utterances) if settings.on_error == "skip" else utterances


def _some(utterances):
    """A few utterances from all over a split."""
    step = max(1, len(utterances) // _TINY_COUNT)
    return utterances[::step][:_TINY_COUNT]
