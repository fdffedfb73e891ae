"""Make the embedded alignment corpus: general English sentences, many speakers.

    python -m experiments.corpora.make_alignment --model-folder packages

takes about 25 minutes on one core and writes `experiments/corpora/alignment`. What is there
already is kept: a run that was stopped goes on where it was. README.md says how to get the
packages; they need an environment of their own.
"""

import dataclasses
import json
import pathlib

import numpy as np
import tyro
from tqdm import tqdm

from experiments.corpora.alignment_sentences import DOMAINS, RULES, reads_well
from experiments.corpora.grammar import Grammar, sample_sentences
from experiments.corpora.layout import (
    LEVEL,
    audio_path,
    plan_items,
    write_transcripts,
)
from pad_keras.files import write_atomically

COUNTS = {"train": 440, "valid": 80, "test": 80}
SEED = 20230303


@dataclasses.dataclass
class Settings:
    """Where to read and write."""

    model_folder: pathlib.Path
    """Folder with the unpacked packages of the synthesiser (see README.md)."""
    out: pathlib.Path = pathlib.Path(__file__).parent / "alignment"
    """Folder of the corpus."""
    compression: float = 0.7
    """Vorbis compression from 0 (large, best) to 1 (small)."""


def sentences_by_split(accept=reads_well):
    """The corpus' sentences; none stands in two splits.

    Args:
        accept: function of a sentence.

    Returns:
        Dict of split name to list of str.
    """
    pool = sample_sentences(Grammar(RULES), list(DOMAINS), sum(COUNTS.values()), SEED, accept)
    order = np.random.default_rng(SEED).permutation(len(pool))
    splits, start = {}, 0
    for split, count in COUNTS.items():
        splits[split] = [pool[index] for index in order[start : start + count]]
        start += count
    return splits


def main(settings):
    """Synthesise what is missing, then write transcripts and word times."""
    # Only making the corpus needs the synthesiser; reading its plan does not.
    from experiments.corpora.synthesis import Synthesizer, write_speech

    synthesizer = Synthesizer(settings.model_folder)

    def is_aligned(sentence):
        return len(synthesizer.phonemes(sentence)) == len(sentence.split())

    items = plan_items(sentences_by_split(lambda s: reads_well(s) and is_aligned(s)), SEED)
    # The times wait beside the corpus until it is complete.
    times_path = settings.out / "times.json.partial"
    times = json.loads(times_path.read_text()) if times_path.is_file() else {}
    for item in tqdm(items, unit="utterance"):
        path = audio_path(settings.out, item)
        if path.is_file() and item.uid in times:
            continue
        speech = synthesizer.speak(item.text, item.voice, item.speed)
        write_speech(path, speech, LEVEL, settings.compression)
        times[item.uid] = speech.words
        write_atomically(times_path, json.dumps(times))
    write_transcripts(settings.out, items, times)
    times_path.unlink()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
