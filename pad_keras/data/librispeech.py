"""LibriSpeech, and every corpus in its folder layout."""

import dataclasses
import math
import pathlib
import re
import warnings

import numpy as np

from pad_keras.data.durations import AUDIO_SUFFIXES, VISIBLE, with_durations
from pad_keras.data.lines import ENCODING, read_lines, split_lines
from pad_keras.data.problems import Problems
from pad_keras.data.utterance import Utterance, WordTime, total_hours

# Of words and recordings, whose lengths are rounded.
_SECONDS_TOLERANCE = 0.05


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
    utterances = with_durations(
        [
            Utterance(uid, str(path), speaker, None, text)
            for uid, (path, speaker, text) in sorted(found.items())
        ],
        problems,
    )
    utterances = _with_word_times(utterances, root, folders, problems)
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


def _with_word_times(utterances, root, folders, problems):
    """Fill in when the words are spoken, as far as a `words.tsv` tells."""
    known = {utterance.id: utterance for utterance in utterances}
    unknown = set()
    # A subset that was given as the root is its only folder.
    for path in dict.fromkeys(folder / "words.tsv" for folder in (root, *folders)):
        if not path.is_file():
            continue
        lines = {}
        for number, line in enumerate(read_lines(path, problems), start=1):
            if not line.strip():
                continue
            uid, _, entries = line.partition("\t")
            place = f"{path}:{number}"
            try:
                words = tuple(_word_time(entry) for entry in entries.split())
            except ValueError:
                problems.add(place, f"expected WORD:start:end entries, got {line!r}")
                continue
            if uid in lines:
                problems.add(place, f"the id {uid!r} stands in {lines[uid]}, too")
                continue
            lines[uid] = place
            if uid not in known:
                unknown.add(uid)
            elif reason := _why_unfit(words, known[uid]):
                problems.add(place, reason)
            else:
                known[uid] = dataclasses.replace(known[uid], words=words)
    # The root's list has subsets, too, that were not asked for or are not there.
    if unknown and (missing := sorted(unknown - _transcribed(root))):
        warnings.warn(
            f"{root}: no transcript has the ids of {len(missing)} lines of words.tsv, such as "
            f"{missing[0]!r}; they are passed over.",
            stacklevel=3,
        )
    return list(known.values())


def _why_unfit(words, utterance):
    """Why word times cannot be those of an utterance, or `None`."""
    said = len(utterance.text.split())
    if len(words) != said:
        return f"{len(words)} words of {utterance.id!r}, whose transcript has {said}"
    end = max(word.end for word in words)
    if end > utterance.seconds + _SECONDS_TOLERANCE:
        return (
            f"words of {utterance.id!r} until {end} s, whose audio ends after "
            f"{utterance.seconds:.3f} s"
        )
    return None


def _transcribed(root):
    """Ids of all transcripts under a corpus or a subset, whether or not their audio is usable."""
    names = f"{VISIBLE}.trans.txt"
    paths = [path for folders in ("*/*", "*/*/*") for path in root.glob(f"{folders}/{names}")]
    texts = (path.read_text(encoding=ENCODING, errors="replace") for path in paths)
    return {line.split()[0] for text in texts for line in split_lines(text) if line.strip()}


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
    if not hours > 0:  # NaN, too.
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
