"""The speech and text of a distillation."""

import collections

from experiments.understanding.configuration import Understanding
from experiments.understanding.corpora import check_disjoint_recordings, read_splits
from pad_keras import data

# What tells one layout from the other.
_FLUENT_SPEECH_COMMANDS, _AUDIO_SNIPS = "data/train_data.csv", "all.iob.snips.txt"


def read_corpora(settings):
    """Read the splits of the corpus and check that they share no speaker and no recording.

    Args:
        settings: `experiments.distillation.configuration.Data`.

    Returns:
        Dict from split to list of `Utterance`.

    Raises:
        ValueError: if two splits share a speaker or a recording, or if one of `task_roots` is of
            no layout that is known or repeats an utterance's id.
    """
    corpora = {}
    for name in ("train", "valid", "test"):
        subsets = getattr(settings, name)
        if name == "test" and not subsets:
            continue
        utterances = data.librispeech(
            settings.root, None, subsets=subsets, on_error=settings.on_error
        )
        if name == "train":
            utterances = _joined(utterances, settings)
            utterances = data.within_seconds(utterances, settings.max_seconds)
        hours = settings.hours if name == "train" else settings.evaluation_hours
        if hours is not None:
            utterances = data.balanced_part(utterances, hours, settings.seed)
        if settings.on_error == "skip":
            utterances = data.decodable(utterances)
        corpora[name] = utterances
    data.check_disjoint_speakers(**corpora)
    check_disjoint_recordings(**corpora)
    return corpora


def _joined(utterances, settings):
    """Training utterances and those of the tasks' corpora."""
    joined = [*utterances]
    for root in settings.task_roots:
        found = read_splits(Understanding(_task(root), data=root, on_error=settings.on_error))
        joined += found[None].train
    counts = collections.Counter(utterance.id for utterance in joined)
    repeated = [uid for uid, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{len(repeated)} utterance ids, such as {repeated[0]!r}, are in more than one of "
            f"{settings.root} and {', '.join(map(str, settings.task_roots))}; leave one out."
        )
    return joined


def _task(root):
    """The task of a corpus, by its layout."""
    for task, file in (("ic", _FLUENT_SPEECH_COMMANDS), ("sf", _AUDIO_SNIPS)):
        if (root / file).is_file():
            return task
    raise ValueError(
        f"`task_roots` {str(root)!r} is neither in Fluent Speech Commands' layout "
        f"({_FLUENT_SPEECH_COMMANDS}) nor in Audio SNIPS' ({_AUDIO_SNIPS})."
    )
