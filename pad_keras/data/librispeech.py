"""LibriSpeech, and every corpus in its folder layout."""

import math
import pathlib
import re
import warnings

import numpy as np

from pad_keras.data.durations import AUDIO_SUFFIXES, VISIBLE, with_durations
from pad_keras.data.lines import read_lines
from pad_keras.data.problems import Problems
from pad_keras.data.utterance import Utterance, WordTime, total_hours


def librispeech(root, hours=10, *, seed=0, subsets=None, on_error="raise"):
    """Read a corpus in LibriSpeech's layout, or a reproducible part of it.

    The layout is `<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<nnnn>.flac` (or .ogg, .wav)
    with `<speaker>-<chapter>.trans.txt` (`uid WORDS` a line) beside. A file `words.tsv`
    (`uid<TAB>WORD:start:end ...`, seconds) in `root` or a subset gives word times.

    The part is balanced over speakers: utterances are taken speaker by speaker in turn, in an
    order that `seed` alone decides, until the hours are reached.

    Args:
        root: path of the folder that holds subsets (`train-clean-100`, ...), or of one subset.
        hours: float, hours of audio wanted; `None` for everything. PAD distils on 10.
        seed: int.
        subsets: sequence of subset names under `root`. Defaults to all.
        on_error: `"raise"`, or `"skip"` to leave out what is broken and warn at the end with the
            count and the list.

    Returns:
        List of `Utterance`, sorted by id.

    Raises:
        FileNotFoundError: if `root` or a subset is missing or holds no utterance.
        BadInputError: naming the first broken file, with `on_error="raise"`.

    Reference:
        LibriSpeech (Panayotov et al., ICASSP 2015).

    Example:

    ```python
    utterances = librispeech("LibriSpeech", hours=10, subsets=["train-clean-100"])
    ```
    """
    root = pathlib.Path(root)
    problems = Problems(on_error, str(root))
    folders = _subset_folders(root, subsets)
    found = {}
    for folder in folders:
        _collect(folder, found, problems)
    word_times = _word_times([root, *folders], problems)
    utterances = with_durations(
        [
            Utterance(uid, str(path), speaker, None, text, words=word_times.get(uid, ()))
            for uid, (path, speaker, text) in sorted(found.items())
        ],
        problems,
    )
    problems.report()
    if not utterances:
        raise FileNotFoundError(
            f"No utterance under {str(root)!r}: expected <speaker>/<chapter>/*.trans.txt beside "
            f"audio files ({', '.join(AUDIO_SUFFIXES)}), there or in subset folders."
        )
    return utterances if hours is None else balanced_part(utterances, hours, seed)


def _subset_folders(root, subsets):
    if not root.is_dir():
        raise FileNotFoundError(f"No folder {str(root)!r}; give the corpus' folder.")
    if subsets is None:
        # A subset holds <speaker>/<chapter>/; the corpus has one folder more above.
        is_subset = any(root.glob(f"*/*/{VISIBLE}.trans.txt"))
        return [root] if is_subset else sorted(path for path in root.iterdir() if path.is_dir())
    folders = [root / name for name in subsets]
    for folder in folders:
        if not folder.is_dir():
            there = sorted(path.name for path in root.iterdir() if path.is_dir())
            raise FileNotFoundError(f"No subset {folder.name!r} in {str(root)!r}; it has {there}.")
    return folders


def _collect(folder, found, problems):
    """Add {uid: (audio path, speaker, text)} of a subset to `found`."""
    for chapter in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        audio = {}
        for path in sorted(chapter.glob(VISIBLE)):
            if path.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            if audio.setdefault(path.stem, path) != path:
                problems.add(str(path), f"the id is taken by {audio[path.stem]}")
        texts = {}
        for path in sorted(chapter.glob(VISIBLE + ".trans.txt")):
            texts.update(_read_transcripts(path, problems))
        for uid in sorted(texts.keys() - audio.keys()):
            problems.add(str(chapter / uid), "a transcript without an audio file")
        for uid in sorted(audio.keys() - texts.keys()):
            problems.add(str(audio[uid]), "an audio file without a transcript")
        for uid in sorted(audio.keys() & texts.keys()):
            if uid in found:
                problems.add(str(audio[uid]), f"the id is taken by {found[uid][0]}")
            found.setdefault(uid, (audio[uid], chapter.parent.name, texts[uid]))


def _read_transcripts(path, problems):
    texts = {}
    for number, line in enumerate(read_lines(path, problems), start=1):
        if not line.strip():
            continue
        uid, _, text = line.strip().partition(" ")
        text = re.sub(r"\s+", " ", text).strip()
        if not text:
            problems.add(f"{path}:{number}", f"no words after the id {uid!r}")
        elif texts.setdefault(uid, text) != text:
            problems.add(f"{path}:{number}", f"the id {uid!r} has other words before this line")
    return texts


def _word_times(folders, problems):
    times = {}
    for folder in folders:
        path = folder / "words.tsv"
        if not path.is_file():
            continue
        for number, line in enumerate(read_lines(path, problems), start=1):
            uid, _, entries = line.partition("\t")
            try:
                times[uid] = tuple(_word_time(entry) for entry in entries.split())
            except ValueError:
                problems.add(f"{path}:{number}", f"expected WORD:start:end entries, got {line!r}")
    return times


def _word_time(entry):
    word, start, end = entry.rsplit(":", 2)
    time = WordTime(word, float(start), float(end))
    if not word or not 0 <= time.start <= time.end < math.inf:
        raise ValueError(entry)
    return time


def balanced_part(utterances, hours, seed=0):
    """Some hours of utterances, balanced over speakers.

    Args:
        utterances: list of `Utterance`.
        hours: float, hours of audio wanted; the last utterance may exceed them.
        seed: int, decides which are taken.

    Returns:
        List of `Utterance`, sorted by id. If there are fewer hours, all of it, with a warning.

    Raises:
        ValueError: if `hours` is not positive.
    """
    if hours <= 0:
        raise ValueError(f"`hours` must be positive, or None for everything; got {hours}.")
    available = total_hours(utterances)
    if available < hours:
        warnings.warn(
            f"{hours} hours were asked for and {available:.2f} are there; all of it is used.",
            stacklevel=3,
        )
        return utterances
    generator = np.random.default_rng(seed)
    by_speaker = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    queues = [generator.permutation(len(by_speaker[name])) for name in sorted(by_speaker)]
    order = [
        by_speaker[name][queue[turn]]
        for turn in range(max(map(len, queues)))
        for name, queue in zip(sorted(by_speaker), queues, strict=True)
        if turn < len(queue)
    ]
    chosen, seconds = [], 0.0
    for utterance in order:
        if seconds >= hours * 3600:
            break
        chosen.append(utterance)
        seconds += utterance.seconds
    return sorted(chosen, key=lambda utterance: utterance.id)
