"""Make the embedded corpora of spoken language understanding: intents, slots, emotions.

    python -m experiments.corpora.make_understanding intents --model-folder packages

and likewise `slots` and `emotions` take about 30, 26 and 8 minutes on one core and write
`experiments/corpora/intents` and so on. What is there already is kept: a run that was stopped goes
on where it was. README.md says how to get the packages; they need an environment of their own.
"""

import dataclasses
import pathlib
from typing import Literal

import tyro
from tqdm import tqdm

from experiments.corpora import understanding_layout

COMPRESSION = 0.8


@dataclasses.dataclass
class Settings:
    """Which corpus to make, where to read and write."""

    corpus: tyro.conf.Positional[Literal["intents", "slots", "emotions"]]
    """The corpus to make."""
    model_folder: pathlib.Path
    """Folder with the unpacked packages of the synthesiser (see README.md)."""
    out: pathlib.Path = pathlib.Path(__file__).parent
    """The corpus is written into OUT/CORPUS."""
    compression: float = COMPRESSION
    """Vorbis compression from 0 (large, best) to 1 (small)."""


def main(settings):
    """Synthesise what is missing, then write the corpus' lists."""
    # Only making a corpus needs the synthesiser; reading its plan does not.
    from experiments.corpora.synthesis import Synthesizer, write_speech

    synthesizer = Synthesizer(settings.model_folder)

    def is_aligned(sentence):
        return len(synthesizer.phonemes(sentence)) == len(sentence.split())

    corpus = getattr(understanding_layout, settings.corpus)(is_aligned)
    root = settings.out / settings.corpus
    for script in tqdm(corpus.scripts, unit="utterance"):
        path = root / script.path
        if not path.is_file():
            speech = synthesizer.speak(script.text, script.voice, script.speed, script.pitch)
            write_speech(path, speech, script.level, settings.compression)
    understanding_layout.write_files(root, corpus)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
