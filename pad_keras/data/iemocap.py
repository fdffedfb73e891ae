"""IEMOCAP: emotions of acted and improvised dialogues."""

import os
import pathlib
import re

import numpy as np

from pad_keras.data.durations import AUDIO_SUFFIXES, VISIBLE, with_durations
from pad_keras.data.lines import ENCODING, split_lines
from pad_keras.data.problems import BadInputError, Problems
from pad_keras.data.utterance import Utterance

# In SUPERB's order; excitement counts as happiness, other emotions are left out.
EMOTIONS = ("neu", "hap", "ang", "sad")
_MERGED = {"exc": "hap"}
_UNUSED = ("fru", "sur", "fea", "dis", "oth", "xxx")
_LABELS = (*EMOTIONS, *_MERGED, *_UNUSED)
_SUFFIXES = (*AUDIO_SUFFIXES, *map(str.upper, AUDIO_SUFFIXES))
_SESSIONS = (1, 2, 3, 4, 5)
_LINE = re.compile(r"\[[^\]]*\]\s+(\S+)\s+(\S+)")
# Ses01F_impro01_M003: in session 1, where F wears the markers, said by M. The
# original has a few turns without a number, too: Ses03F_impro06_FXX0.
_ID = re.compile(r"Ses(\d\d)[FM]_\w+_[FM](?:XX)?\d+", re.ASCII)
_SPOKEN = re.compile(r"(\S+)\s+\[[^\]]*\]:\s*(.*)")


def iemocap(root, sessions=_SESSIONS, *, on_error="raise"):
    """Read sessions of IEMOCAP, or of a corpus in its layout, in four classes.

    The layout is `SessionN/sentences/wav/<dialog>/<utterance>.wav` and
    `SessionN/dialog/EmoEvaluation/<dialog>.txt`, whose lines that begin with `[` name utterance
    and emotion. `SessionN/dialog/transcriptions/<dialog>.txt` gives the words, where it is there.

    Args:
        root: path of the folder that holds `Session1` to `Session5`.
        sessions: sequence of int.
        on_error: `"raise"`, or `"skip"` to leave out what is broken and warn at the end with the
            count and the list.

    Returns:
        List of `Utterance`, sorted by id, `labels` by `"emotion"` (one of `EMOTIONS`); a speaker
        is a session's female or male voice.

    Raises:
        FileNotFoundError: if a session or its evaluation is missing.
        BadInputError: naming the first broken line or audio file, or if there is no utterance with
            one of the four emotions.

    Reference:
        Busso et al., Language Resources and Evaluation 42, 2008; four classes as in SUPERB (arXiv
        2105.01051).

    Example:

    ```python
    utterances = iemocap("IEMOCAP_full_release")
    splits = iemocap_fold(utterances, fold=1)  # session 1 is the test set
    ```
    """
    root = pathlib.Path(root)
    problems = Problems(on_error, str(root))
    drafts, lines = [], {}
    for session in sessions:
        folder = root / f"Session{session}"
        evaluations = sorted((folder / "dialog" / "EmoEvaluation").glob(VISIBLE + ".txt"))
        if not evaluations:
            raise FileNotFoundError(f"No *.txt in {str(folder / 'dialog' / 'EmoEvaluation')!r}.")
        for path in evaluations:
            drafts.extend(_read_dialog(folder, session, path, lines, problems))
    utterances = with_durations(sorted(drafts, key=lambda draft: draft.id), problems)
    problems.report()
    if not utterances:
        raise BadInputError(
            f"{root}: no utterance of the sessions {list(sessions)} has one of the emotions "
            f"{[*EMOTIONS, *_MERGED]}."
        )
    return utterances


def iemocap_fold(utterances, fold, valid_share=0.2, seed=0):
    """Split utterances as SUPERB does: one session is the test set.

    Args:
        utterances: list of `Utterance`, as `iemocap` gives them.
        fold: int from 1 to 5, the session to test on.
        valid_share: float, share of the other sessions' utterances that validate. They share
            speakers with training, as in SUPERB; the test set does not.
        seed: int, decides which ones.

    Returns:
        Dict of `"train"`, `"valid"` and `"test"`, lists of `Utterance`.

    Raises:
        ValueError: if there is no utterance of the session, or none of another, or naming an id
            that is none of IEMOCAP's.
    """
    test = [u for u in utterances if _session(u) == fold]
    others = [u for u in utterances if _session(u) != fold]
    if not test or not others:
        there = sorted({_session(u) for u in utterances})
        raise ValueError(f"`fold` {fold} needs its session and another; there are {there}.")
    order = np.random.default_rng(seed).permutation(len(others))
    count = round(valid_share * len(others))
    valid, train = (sorted(part) for part in (order[:count], order[count:]))
    return {
        "train": [others[index] for index in train],
        "valid": [others[index] for index in valid],
        "test": test,
    }


def _session(utterance):
    match = _ID.fullmatch(utterance.id)
    if match is None:
        raise ValueError(
            f"`utterances`: the id {utterance.id!r} tells no session; expected one of IEMOCAP's, "
            "such as 'Ses01F_impro01_M003'."
        )
    return int(match[1])


def _read_dialog(folder, session, path, lines, problems):
    """Drafts of a dialogue's utterances that have one of the four emotions.

    `lines` has where the ids before stand, and gets those of this dialogue.
    """
    spoken = _read_transcript(folder / "dialog" / "transcriptions" / path.name)
    for number, line in enumerate(_read_lines(path), start=1):
        if not line.startswith("["):
            continue
        match = _LINE.match(line)
        reason = _why_unusable(line, match, session, lines)
        if reason:
            problems.add(f"{path}:{number}", reason)
            continue
        uid, emotion = match.groups()
        lines[uid] = f"{path}:{number}"
        emotion = _MERGED.get(emotion, emotion)
        if emotion not in EMOTIONS:
            continue
        stem = folder / "sentences" / "wav" / path.stem / uid
        there = [stem.with_name(uid + end) for end in _SUFFIXES]
        audio = next((file for file in there if os.path.isfile(file)), None)
        if audio is None:
            problems.add(str(stem), "an evaluation without an audio file")
            continue
        speaker = uid[:5] + uid.rsplit("_", 1)[-1][:1]
        yield Utterance(uid, str(audio), speaker, None, spoken.get(uid), {"emotion": emotion})


def _why_unusable(line, match, session, lines):
    """What is wrong with a line of an evaluation, or `None`."""
    if match is None:
        return f"expected '[start - end] id emotion', got {line!r}"
    uid, emotion = match.groups()
    if emotion not in _LABELS:
        return f"the emotion {emotion!r} is none of {_LABELS}"
    named = _ID.fullmatch(uid)
    if named is None or int(named[1]) != session:
        return f"the id {uid!r} is none of session {session} (Ses{session:02}F_<dialog>_M<number>)"
    return f"the id {uid!r} stands in {lines[uid]}, too" if uid in lines else None


def _read_lines(path):
    return split_lines(path.read_text(encoding=ENCODING, errors="replace"))


def _read_transcript(path):
    if not path.is_file():
        return {}
    matches = (_SPOKEN.match(line) for line in _read_lines(path))
    return {match[1]: match[2].strip() for match in matches if match and match[2].strip()}
