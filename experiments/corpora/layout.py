"""What an embedded corpus holds, and writing it in LibriSpeech's layout."""

import dataclasses
import pathlib
import random

import numpy as np

from pad_keras.files import write_atomically

SAMPLE_RATE = 16_000
# Voices by speaker number. Validation and test voices occur in no training data, of any corpus.
SPEAKERS = {
    "train": {
        "101": "af_alloy", "102": "af_aoede", "103": "af_bella", "104": "af_heart",
        "105": "af_jessica", "106": "af_kore", "107": "af_nicole", "108": "af_sarah",
        "109": "am_adam", "110": "am_echo", "111": "am_eric", "112": "am_fenrir",
        "113": "am_liam", "114": "am_onyx", "115": "am_santa", "116": "bf_alice",
        "117": "bf_isabella", "118": "bm_daniel", "119": "bm_lewis", "120": "af_nova",
    },
    "valid": {"201": "af_sky", "202": "am_puck", "203": "bf_lily", "204": "bm_fable"},
    "test": {"301": "af_river", "302": "am_michael", "303": "bf_emma", "304": "bm_george"},
}  # fmt: skip
# Factors of the voices' own tempo.
SPEEDS = (0.9, 1.15)
# Root mean square of a waveform.
LEVEL = 0.06


@dataclasses.dataclass(frozen=True)
class Item:
    """One utterance to be made.

    Args:
        split: str.
        speaker: str, number.
        uid: str, `<speaker>-<chapter>-<nnnn>`.
        text: str in upper case.
        voice: str.
        speed: float, tempo.
    """

    split: str
    speaker: str
    uid: str
    text: str
    voice: str
    speed: float

    @property
    def chapter(self):
        """Number of the chapter, one a speaker."""
        return self.uid.split("-")[1]


def plan_items(sentences_by_split, seed):
    """Give every sentence a speaker in turn, an id and a tempo.

    Args:
        sentences_by_split: dict of split name to list of sentences.
        seed: int.

    Returns:
        List of `Item`.
    """
    generator = random.Random(seed)
    items = []
    for split, sentences in sentences_by_split.items():
        voices = list(SPEAKERS[split].items())
        for index, sentence in enumerate(sentences):
            speaker, voice = voices[index % len(voices)]
            uid = f"{speaker}-{speaker}00-{index // len(voices):04d}"
            speed = round(generator.uniform(*SPEEDS), 3)
            items.append(Item(split, speaker, uid, sentence.upper(), voice, speed))
    return items


def audio_path(root, item):
    """Path of an item's audio file.

    Args:
        root: path of the corpus.
        item: `Item`.

    Returns:
        `pathlib.Path`.
    """
    folder = pathlib.Path(root) / item.split / item.speaker / item.chapter
    return folder / f"{item.uid}.ogg"


def normalized_loudness(waveform, level=LEVEL, peak=0.95):
    """Bring a waveform to a level, without clipping.

    Args:
        waveform: `[samples]` float32.
        level: float, root mean square wanted.
        peak: float, greatest absolute value allowed.

    Returns:
        `[samples]` float32.
    """
    loudness = np.sqrt(np.mean(np.square(waveform)))
    gain = min(level / max(loudness, 1e-6), peak / max(np.abs(waveform).max(), 1e-6))
    return (waveform * gain).astype("float32")


def write_transcripts(root, items, word_times):
    """Write `*.trans.txt` of every chapter and `words.tsv` of every split.

    Args:
        root: path of the corpus.
        items: list of `Item`.
        word_times: dict of uid to list of `(word, start, end)` in seconds.
    """
    chapters, splits = {}, {}
    for item in items:
        transcript = audio_path(root, item).with_name(f"{item.speaker}-{item.chapter}.trans.txt")
        chapters.setdefault(transcript, []).append(f"{item.uid} {item.text}\n")
        times = " ".join(f"{w}:{start:.3f}:{end:.3f}" for w, start, end in word_times[item.uid])
        splits.setdefault(item.split, []).append(f"{item.uid}\t{times}\n")
    for path, lines in chapters.items():
        write_atomically(path, "".join(sorted(lines)))
    for split, lines in splits.items():
        write_atomically(pathlib.Path(root) / split / "words.tsv", "".join(sorted(lines)))
