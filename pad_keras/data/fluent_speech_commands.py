"""Fluent Speech Commands: intents of spoken commands."""

import csv
import os
import pathlib

from pad_keras.data.durations import with_durations
from pad_keras.data.lines import ENCODING
from pad_keras.data.problems import BadInputError, Problems
from pad_keras.data.utterance import Utterance

INTENT_GROUPS = ("action", "object", "location")
_COLUMNS = ("path", "speakerId", "transcription", *INTENT_GROUPS)


def fluent_speech_commands(root, split="train", *, on_error="raise"):
    """Read an official split of Fluent Speech Commands, or of a corpus in its layout.

    The layout is `data/{train,valid,test}_data.csv` with the columns path (relative to `root`),
    speakerId, transcription, action, object and location. A column `part`, which the original does
    not have, tells apart parts of a split.

    Args:
        root: path of the folder that holds `data` and `wavs`.
        split: `"train"`, `"valid"` or `"test"`.
        on_error: `"raise"`, or `"skip"` to leave out what is broken and warn at the end with the
            count and the list.

    Returns:
        List of `Utterance` in the order of the file, `labels` by `"action"`, `"object"` and
        `"location"`.

    Raises:
        FileNotFoundError: if the split's file is missing or holds no utterance.
        BadInputError: for a missing column, or naming the first broken row or audio file.

    Reference:
        Lugosch et al., Interspeech 2019 (arXiv 1904.03670).

    Example:

    ```python
    train = fluent_speech_commands("fluent_speech_commands_dataset", "train")
    labels = label_names(train)  # {"action": ("change language", ...), ...}
    ```
    """
    root = pathlib.Path(root)
    path = root / "data" / f"{split}_data.csv"
    if not path.is_file():
        there = sorted(p.name for p in (root / "data").glob("*_data.csv"))
        raise FileNotFoundError(f"No {str(path)!r}; {str(root / 'data')!r} has {there}.")
    problems = Problems(on_error, str(path))
    try:
        drafts = _read_rows(root, path, problems)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{path}: it is no table in UTF-8 ({error})") from error
    utterances = with_durations(drafts, problems)
    problems.report()
    if not utterances:
        raise FileNotFoundError(f"No utterance in {str(path)!r}.")
    return utterances


def _read_rows(root, path, problems):
    """Drafts of a split's utterances."""
    drafts, lines = [], {}
    with open(path, newline="", encoding=ENCODING) as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise BadInputError(
                f"{path}: the columns {missing} are missing; there are {rows.fieldnames}."
            )
        for row in rows:
            surplus = row.pop(None, None)
            row = {name: (cell or "").strip() for name, cell in row.items()}
            reason = _why_unusable(row, surplus, lines)
            if reason:
                problems.add(f"{path}:{rows.line_num}", reason)
                continue
            uid = row["path"]
            lines[os.path.normpath(uid)] = rows.line_num
            labels = {group: row[group] for group in INTENT_GROUPS}
            text, part = row["transcription"], row.get("part", "")
            drafts.append(
                Utterance(uid, str(root / uid), row["speakerId"], None, text, labels, part=part)
            )
    return drafts


def _why_unusable(row, surplus, lines):
    """What is wrong with a row, or `None`; `lines` has those of the paths before it."""
    if surplus:
        return f"more cells than columns ({surplus}); quote what holds a comma"
    empty = [name for name in _COLUMNS if not row[name]]
    if empty:
        return f"nothing in the columns {empty}"
    # One file has many spellings: wavs/./a.wav, wavs//a.wav.
    path = os.path.normpath(row["path"])
    if os.path.isabs(path) or path.split(os.sep)[0] == os.pardir:
        return f"the path {row['path']!r} leaves the corpus; give it relative to `root`"
    before = lines.get(path)
    return before and f"the path {row['path']!r} stands in line {before}, too"
