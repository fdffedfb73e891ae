"""Corpora of a few tones in the layouts of the real ones, and a batch of noise."""

import numpy as np
import soundfile

from tests.data.corpus import tone
from tests.data.test_slu_corpora import write_fsc


def commands(root, **changes):
    """A corpus of commands; `changes` are the rows of a split."""
    rows = {
        "train": [("s1", "a", "on", "light", "none"), ("s1", "b", "off", "light", "none")],
        "valid": [("s2", "a", "on", "light", "none")],
        "test": [("s3", "a", "on", "light", "none")],
    }
    for split, lines in {**rows, **changes}.items():
        write_fsc(root, split, lines)
    return root


def write_snips(root, speakers):
    lines = []
    for split, names in speakers.items():
        for name in names:
            uid = f"{name}-snips-{split}-0"
            (root / split).mkdir(parents=True, exist_ok=True)
            soundfile.write(root / split / f"{uid}.wav", tone(0.3), 16_000)
            lines.append(f"{uid} BOS ADD ADELE EOS\tO O artist AddToPlaylist\n")
    (root / "all.iob.snips.txt").write_text("".join(lines))
    (root / "slots.txt").write_text("O\nartist\n")
    return root


def speech(lengths, seed=3):
    """Noise that comes and goes, padded with what must not matter."""
    generator = np.random.default_rng(seed)
    width = max(lengths)
    waveform = np.full((len(lengths), width), np.nan, "float32")
    for row, length in enumerate(lengths):
        loudness = 10 ** generator.uniform(-4, 0, size=-(-length // 500)).repeat(500)[:length]
        waveform[row, :length] = 0.1 * loudness * generator.normal(size=length) + 0.02
    return {"waveform": waveform, "padding_mask": np.arange(width) < np.array(lengths)[:, None]}
