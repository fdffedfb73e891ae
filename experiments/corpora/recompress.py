"""Encode an embedded corpus' Ogg files anew, smaller.

    python -m experiments.corpora.recompress experiments/corpora/alignment --compression 1.0
    python -m experiments.corpora.recompress experiments/corpora/intents --codec OPUS \
        --compression 0.97

The scripts that make the corpora synthesise for an hour or more; this takes a minute, at the price
of a second lossy encoding: run it once. Length and word times stay. A file that would not become
smaller stays as it is. Every Vorbis file brings its codebooks, 4 KB; of a short utterance they are
a third.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
from typing import Literal

import soundfile
import tyro
from keras.utils import Progbar


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to encode anew."""

    root: tyro.conf.Positional[pathlib.Path]
    """Folder of the corpus."""
    codec: Literal["VORBIS", "OPUS"] = "VORBIS"
    """Of the new files, in Ogg."""
    compression: float = 1.0
    """From 0 (large, best) to 1 (small); speech in Opus keeps its 8 kHz of bandwidth up to 0.97,
    which is 14 kbit/s."""


def recompress(root, codec, compression):
    """Encode the Ogg files of a folder anew, each whole or not at all.

    Args:
        root: path.
        codec: `"VORBIS"` or `"OPUS"`.
        compression: float from 0 (large, best) to 1 (small).

    Returns:
        Tuple of the bytes before and after.
    """
    paths = sorted(pathlib.Path(root).rglob("*.ogg"))
    progress, before, after = Progbar(len(paths), unit_name="file"), 0, 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for was, now in pool.map(lambda path: _recompress_file(path, codec, compression), paths):
            before, after = before + was, after + now
            progress.add(1)
    return before, after


def _recompress_file(path, codec, compression):
    """Sizes of a file before and after."""
    before = path.stat().st_size
    waveform, rate = soundfile.read(path, dtype="float32")
    partial = path.with_suffix(".partial")
    soundfile.write(
        partial, waveform, rate, format="OGG", subtype=codec, compression_level=compression
    )
    after = partial.stat().st_size
    if after >= before:
        partial.unlink()
        return before, before
    os.replace(partial, path)
    return before, after


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    sizes = recompress(settings.root, settings.codec, settings.compression)
    print("bytes before and after:", sizes)
