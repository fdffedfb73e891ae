"""How fast audio is read, padded and batched, against soundfile and a torch DataLoader.

    python -m experiments.benchmarks.input
    python -m experiments.benchmarks.input --workers 2 --threads 2     # worker processes for torch
    python -m experiments.benchmarks.input --tiny                      # in a minute: does it run?

An epoch of `pad_keras.data.pipeline`, shuffled, waveforms alone, and one of a `DataLoader` that
reads the same files with soundfile and pads each batch to its longest. The FLAC and the WAV files
(16-bit) are written from the corpus into a temporary folder first. Both must give the same samples
of each utterance, to 1e-6 of full scale. Files are in the system's cache when the clock runs. A
ratio above 1 says that torch takes longer. A second table has the share of samples that is padding.
"""

import collections
import dataclasses
import functools
import pathlib
import statistics
import tempfile

import numpy as np
import soundfile
import tyro

from experiments.benchmarks import measure
from experiments.benchmarks.padding import COLUMNS, shares
from experiments.benchmarks.torch_loader import loader
from experiments.command_line import explained_errors
from experiments.results import print_table
from pad_keras.data import BatchPlan, batch_order, librispeech, pipeline, total_hours

FORMATS = {"FLAC": ".flac", "WAV": ".wav", "Ogg Vorbis": ".ogg"}
TOLERANCE = 1e-6
PADDED_BATCHES = (4, 8, 16)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is read, and how often."""

    root: pathlib.Path = pathlib.Path(__file__).parents[1] / "corpora" / "alignment"
    """A corpus in LibriSpeech's layout, 16 kHz and one channel."""
    subset: str = "train"
    """Its subset."""
    batch: int = 8
    """Utterances of a batch; what makes no whole batch is left out."""
    utterances: int | None = None
    """Read the first so many of the subset; None reads all."""
    workers: int = 0
    """Processes of the DataLoader, which live on between epochs; 0 reads in this one."""
    rounds: int = 10
    """Times that each reads an epoch."""
    threads: int | None = 1
    """Threads, and cores, of all that this process and its workers do; None leaves them be."""
    tiny: bool = False
    """Try everything out in a minute: a few utterances, one round."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""

    def resolved(self):
        """The settings that are run: themselves, or their tiny form.

        Returns:
            `Settings`.
        """
        return dataclasses.replace(self, utterances=16, rounds=1) if self.tiny else self


def write_corpus(utterances, folder, suffix):
    """Write a corpus in another format, in LibriSpeech's layout.

    Args:
        utterances: list of `Utterance`.
        folder: path.
        suffix: str, such as `".flac"`.

    Returns:
        List of `Utterance`, of the files written.
    """
    for utterance in utterances:
        speaker, chapter, _ = utterance.id.split("-")
        path = pathlib.Path(folder) / speaker / chapter / f"{utterance.id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, *soundfile.read(utterance.audio, dtype="float32"))
        with path.with_name(f"{speaker}-{chapter}.trans.txt").open("a") as transcripts:
            transcripts.write(f"{utterance.id} {utterance.text}\n")
    return librispeech(folder, hours=None)


def check_equal(utterances, settings):
    """Refuse loaders that do not give the same audio.

    Args:
        utterances: list of `Utterance`.
        settings: `Settings`.

    Raises:
        ValueError: naming the first utterance whose samples differ.
    """
    order = batch_order(utterances, settings.batch)
    ours = _waveforms(pipeline(utterances, settings.batch))
    paths = [utterance.audio for utterance in order]
    theirs = _waveforms(loader(paths, settings.batch, settings.workers, shuffle=False))
    for utterance, one, other in zip(order, ours, theirs, strict=True):
        if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=TOLERANCE):
            raise ValueError(
                f"The pipeline and torch do not read the same of {utterance.audio!r}: shapes "
                f"{one.shape} and {other.shape}, or samples further apart than {TOLERANCE:g}."
            )


def _waveforms(batches):
    """Waveforms of all batches without their padding."""
    for batch in batches:
        batch = batch.get("speech", batch)
        rows = zip(np.asarray(batch["waveform"]), np.asarray(batch["padding_mask"]), strict=True)
        yield from (waveform[mask] for waveform, mask in rows)


def read_in_turn(utterances, settings):
    """Time an epoch of each side.

    Args:
        utterances: list of `Utterance`.
        settings: `Settings`.

    Returns:
        Dict of lists of seconds, `pad_keras` and `torch`.

    Raises:
        ValueError: if the two do not give the same audio.
    """
    check_equal(utterances, settings)
    paths = [utterance.audio for utterance in utterances]
    sides = {
        "pad_keras": pipeline(utterances, settings.batch, shuffle=True),
        "torch": loader(paths, settings.batch, settings.workers),
    }
    # A deque of no length takes all batches and keeps none.
    epochs = {
        name: functools.partial(collections.deque, batches, maxlen=0)
        for name, batches in sides.items()
    }
    return measure.in_turn(epochs, settings.rounds)


def main(settings):
    """Check, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        Dict from format to a dict of lists of seconds, `pad_keras` and `torch`.

    Raises:
        ValueError: if the pipeline and torch do not give the same audio, or for a batch that is
            larger than the corpus.
    """
    measure.limit_threads(settings.threads)
    settings = settings.resolved()
    corpus = librispeech(settings.root, hours=None, subsets=[settings.subset])
    utterances = corpus[: settings.utterances]
    plan = BatchPlan([u.seconds for u in utterances], settings.batch, shuffle=True)
    utterances = utterances[: plan.utterances_per_epoch]
    timed = {}
    for name, suffix in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            is_there = utterances[0].audio.endswith(suffix)
            files = utterances if is_there else write_corpus(utterances, folder, suffix)
            timed[name] = read_in_turn(files, settings)
    padding = [shares(utterances, batch) for batch in PADDED_BATCHES if batch <= len(utterances)]
    print_table("Share of samples that is padding", COLUMNS, padding)
    _report(timed, 3600 * total_hours(utterances), padding, settings)
    return timed


def _report(timed, audio, padding, settings):
    """Print and write what `main` measured of so many seconds of audio."""
    rows = []
    for name, seconds in timed.items():
        speeds = [audio / statistics.median(seconds[side]) for side in ("pad_keras", "torch")]
        rows.append([name, *speeds, measure.ratio(seconds["torch"], seconds["pad_keras"])])
    measure.report(
        "input-tiny" if settings.tiny else "input",
        settings,
        f"Seconds of audio read in a second, batches of {settings.batch}",
        ["format", "pad_keras", "torch", "torch / ours"],
        rows,
        {
            "audio_seconds": audio,
            "seconds": timed,
            "padding": [dict(zip(COLUMNS, row, strict=True)) for row in padding],
        },
        settings.out,
    )


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
