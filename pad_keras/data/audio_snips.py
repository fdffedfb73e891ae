"""Audio SNIPS: slots of spoken requests."""

import pathlib

from pad_keras.data.durations import AUDIO_SUFFIXES, with_durations
from pad_keras.data.lines import read_lines
from pad_keras.data.problems import BadInputError, Problems
from pad_keras.data.utterance import Utterance
from pad_keras.files import files_under

TRANSCRIPTS = "all.iob.snips.txt"
SLOTS = "slots.txt"


def audio_snips(root, split="train", *, speakers=None, on_error="raise"):
    """Read a split of Audio SNIPS, or of a corpus in its layout.

    The layout is `<split>/**/<Speaker>-snips-<split>-<n>.wav`, `all.iob.snips.txt` (a line:
    `uid BOS W1 .. Wn EOS<TAB>O s1 .. sn intent`) and `slots.txt` (the first line is O).

    Args:
        root: path of the folder that holds the splits.
        split: `"train"`, `"valid"` or `"test"`.
        speakers: sequence of the speakers to take; `None` takes all that the split has.
        on_error: `"raise"`, or `"skip"` to leave out what is broken and warn at the end with the
            count and the list.

    Returns:
        List of `Utterance`, sorted by id, `labels` by `"slots"` (one a word, separated by
        blanks) and `"intent"`.

    Raises:
        FileNotFoundError: if the split, a speaker of it or a list is missing.
        BadInputError: naming the first broken line or audio file.

    Reference:
        Lai et al., ICASSP 2021 (arXiv 2010.13105); SUPERB (arXiv 2105.01051).

    Example:

    ```python
    train = audio_snips("SNIPS", "train")
    vocabulary = pad_keras.models.SlotVocabulary.read("SNIPS/slots.txt")
    vocabulary.encode(train[0].text, train[0].labels["slots"])
    ```
    """
    root = pathlib.Path(root)
    for name in (split, TRANSCRIPTS, SLOTS):
        if not (root / name).exists():
            there = sorted(path.name for path in root.iterdir()) if root.is_dir() else "nothing"
            raise FileNotFoundError(f"No {name!r} in {str(root)!r}; it has {there}.")
    problems = Problems(on_error, str(root / split))
    files = [p for p in files_under(root / split) if p.suffix.lower() in AUDIO_SUFFIXES]
    if speakers is not None:
        there = {path.stem.split("-")[0] for path in files}
        absent = sorted(set(speakers) - there)
        if absent:
            raise FileNotFoundError(f"{root / split} has no speaker {absent}; it has {there}.")
        files = [path for path in files if path.stem.split("-")[0] in speakers]
    lines = _read_lines(root / TRANSCRIPTS, {path.stem for path in files}, problems)
    names = {name for line in read_lines(root / SLOTS, problems) for name in line.split()}
    drafts, taken = [], {}
    for path in sorted(files, key=lambda path: path.stem):
        if path.stem in taken:
            problems.add(str(path), f"the id is taken by {taken[path.stem]}")
            continue
        taken[path.stem] = path
        if path.stem not in lines:
            problems.add(str(path), f"no line of its own in {TRANSCRIPTS}")
            continue
        words, slots, intent = lines[path.stem]
        unknown = sorted(set(slots) - names)
        if unknown:
            problems.add(str(path), f"the slots {unknown} are not in {SLOTS}")
            continue
        labels = {"slots": " ".join(slots), "intent": intent}
        speaker = path.stem.split("-")[0]
        drafts.append(Utterance(path.stem, str(path), speaker, None, " ".join(words), labels))
    utterances = with_durations(drafts, problems)
    problems.report()
    if not utterances:
        raise FileNotFoundError(f"No utterance in {str(root / split)!r}.")
    return utterances


def _read_lines(path, wanted, problems):
    """{uid: (words, slots, intent)} of the utterances wanted."""
    found = {}
    for number, line in enumerate(read_lines(path, problems), start=1):
        uid = line.split(" ", 1)[0]
        if uid not in wanted:
            continue
        try:
            parsed = _parse(line)
            if found.setdefault(uid, parsed) != parsed:
                problems.add(f"{path}:{number}", f"the id {uid!r} has another line before this one")
        except BadInputError as error:
            problems.add(f"{path}:{number}", str(error))
    return found


def _parse(line):
    """Words, slots and intent of a line of `all.iob.snips.txt`."""
    said, tab, labelled = line.partition("\t")
    words, labels = said.split()[1:], labelled.split()
    if not tab or words[:1] != ["BOS"] or words[-1:] != ["EOS"] or len(labels) != len(words):
        raise BadInputError(f"expected 'uid BOS W1 .. Wn EOS<TAB>O s1 .. sn intent', got {line!r}")
    if len(words) == 2:
        raise BadInputError(f"no words between BOS and EOS, got {line!r}")
    return words[1:-1], labels[1:-1], labels[-1]
