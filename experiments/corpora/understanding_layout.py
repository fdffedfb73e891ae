"""The corpora of spoken language understanding: who says what, and the real corpora's layouts."""

import csv
import dataclasses
import io
import itertools
import pathlib
import random

from experiments.corpora import emotion_sentences, intent_sentences, slot_sentences
from experiments.corpora.layout import LEVEL, SPEAKERS, SPEEDS
from pad_keras.files import write_atomically

SEED = 20230303
INTENT_COUNTS = {
    "train": {"seen": 400},
    "valid": {"seen": 100},
    "test": {"seen": 200, "unseen": 200},
}
SLOT_COUNTS = {"train": 400, "valid": 100, "test": 300}
# Each session a female and a male voice. All are voices of training: a session that is left out
# is new to the head, not to an encoder that was distilled on them.
SESSIONS = {
    1: ("af_alloy", "am_adam"),
    2: ("af_bella", "am_eric"),
    3: ("af_heart", "bm_daniel"),
    4: ("bf_alice", "am_liam"),
    5: ("af_sarah", "am_onyx"),
}
LINES_PER_EMOTION = 6


@dataclasses.dataclass(frozen=True)
class Script:
    """One utterance to be spoken.

    Args:
        path: str, of the audio file, relative to the corpus.
        text: str in lower case.
        voice: str.
        speed: float, factor of the tempo.
        pitch: float, factor of the fundamental frequency.
        level: float, root mean square of the waveform.
    """

    path: str
    text: str
    voice: str
    speed: float
    pitch: float = 1.0
    level: float = LEVEL


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Everything that a corpus consists of.

    Args:
        scripts: list of `Script`.
        files: dict from path, relative to the corpus, to the text of its lists.
    """

    scripts: list
    files: dict


def intents(accept=lambda sentence: True):
    """The intent corpus in the layout of Fluent Speech Commands.

    A column `part` beyond the original's tells the wordings that training has from the others.

    Args:
        accept: function of a sentence.

    Returns:
        `Corpus`.
    """
    generator = random.Random(SEED)
    drawn = intent_sentences.draw(INTENT_COUNTS, SEED, accept)
    scripts, files = [], {}
    columns = ("path", "speakerId", "transcription", "action", "object", "location", "part")
    for split, lines in drawn.items():
        rows = [("", *columns)]
        for index, (text, intent, part) in enumerate(lines):
            speaker, voice = _speaker(split, index)
            path = f"wavs/speakers/{speaker}/{split}-{index:04d}.ogg"
            scripts.append(Script(path, text, voice, _speed(generator)))
            rows.append((index, path, speaker, text.capitalize(), *intent, part))
        files[f"data/{split}_data.csv"] = _csv(rows)
    return Corpus(scripts, files)


def slots(accept=lambda sentence: True):
    """The slot corpus in the layout of Audio SNIPS.

    Args:
        accept: function of a sentence.

    Returns:
        `Corpus`.
    """
    generator = random.Random(SEED)
    scripts, lines = [], []
    for split, requests in slot_sentences.draw(SLOT_COUNTS, SEED, accept).items():
        for index, (text, names, intent) in enumerate(requests):
            _, voice = _speaker(split, index)
            speaker = voice.partition("_")[2].capitalize()
            uid = f"{speaker}-snips-{split}-{index}"
            path = f"{split}/{speaker}/{uid}.ogg"
            scripts.append(Script(path, text, voice, _speed(generator)))
            lines.append(f"{uid} BOS {text.upper()} EOS\tO {' '.join(names)} {intent}\n")
    files = {
        "all.iob.snips.txt": "".join(lines),
        "slots.txt": "".join(f"{name}\n" for name in ("O", *slot_sentences.SLOTS)),
    }
    return Corpus(scripts, files)


def emotions(accept=lambda sentence: True):
    """The emotion corpus in the layout of IEMOCAP: a dialogue a session.

    Args:
        accept: function of a sentence; all lines are fixed, so one that is refused is an error.

    Returns:
        `Corpus`.

    Raises:
        ValueError: naming a line that is refused.
    """
    generator = random.Random(SEED)
    scripts, files = [], {}
    for session, voices in SESSIONS.items():
        dialog = f"Ses{session:02d}F_impro01"
        spoken = [emotion_sentences.draw(LINES_PER_EMOTION, generator) for _ in voices]
        evaluations, transcripts, clock = [], [], 0.0
        for turn, pair in enumerate(zip(*spoken, strict=True)):
            for gender, voice, line in zip("FM", voices, pair, strict=True):
                if not accept(line.text):
                    raise ValueError(f"The line {line.text!r} cannot be spoken.")
                uid = f"{dialog}_{gender}{turn:03d}"
                path = f"Session{session}/sentences/wav/{dialog}/{uid}.ogg"
                prosody = line.prosody
                scripts.append(
                    Script(path, line.text, voice, prosody.speed, prosody.pitch, prosody.level)
                )
                # A turn of three seconds each: the layout wants times, nothing reads them.
                times = f"[{clock:.4f} - {clock + 3:.4f}]"
                evaluations.append(f"{times}\t{uid}\t{line.emotion}\t[2.5000, 2.5000, 2.5000]\n")
                words = line.text.capitalize()
                transcripts.append(f"{uid} {times.replace(' - ', '-')}: {words}.\n")
                clock += 3
        folder = f"Session{session}/dialog"
        files[f"{folder}/EmoEvaluation/{dialog}.txt"] = (
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(evaluations)
        )
        files[f"{folder}/transcriptions/{dialog}.txt"] = "".join(transcripts)
    return Corpus(scripts, files)


def write_files(root, corpus):
    """Write a corpus' lists, each whole or not at all.

    Args:
        root: path of the corpus.
        corpus: `Corpus`.
    """
    for path, text in corpus.files.items():
        write_atomically(pathlib.Path(root) / path, text)


def _speaker(split, index):
    """Number and voice of the speaker of a split's utterance, in turn."""
    speakers = SPEAKERS[split]
    return next(itertools.islice(speakers.items(), index % len(speakers), None))


def _speed(generator):
    return round(generator.uniform(*SPEEDS), 3)


def _csv(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
