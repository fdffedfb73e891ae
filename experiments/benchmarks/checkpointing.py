"""What gradient checkpointing saves in memory, and costs in time.

    python -m experiments.benchmarks.checkpointing                    # wav2vec2-base; ten minutes
    python -m experiments.benchmarks.checkpointing --seconds 60 --freeze-feature-encoder
    python -m experiments.benchmarks.checkpointing --tiny             # try it out in a minute

Forward and backward of an encoder of random weights, to every weight that is trained, with
`gradient_checkpointing` and without. Both must give one loss and gradient. They run in turn; a
ratio above 1 says that checkpointing takes longer. Peak memory is of a process each, beyond what it
held before its first pass, compilation included. Beside it stands what `training_bytes` foretells,
by which the experiments refuse, before the first update, what cannot fit.
"""

import dataclasses
import pathlib
from typing import Literal

import keras
import numpy as np
import tyro

from experiments.benchmarks import computations, measure
from experiments.command_line import explained_errors
from pad_keras.models import Wav2Vec2Backbone
from pad_keras.models.wav2vec2.memory import training_bytes
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

WITH, WITHOUT = "with", "without"
TOLERANCE = 1e-3
_MEGABYTE = 1e6
_TINY = {"conv_filters": (16,) * 7, "hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    size: Literal["mini", "base", "large"] = "base"
    """Architecture; the weights are random."""
    batch: int = 1
    """Utterances."""
    seconds: tuple[float, ...] = (15.0, 30.0)
    """Length of each."""
    freeze_feature_encoder: bool = False
    """Leave the convolutions out of the backward pass."""
    rounds: int = 3
    """Times that each runs."""
    threads: int | None = None
    """Threads; None leaves them to the backend."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small architecture, short utterances, one round."""

    def resolved(self):
        """The settings with what `tiny` changes."""
        if not self.tiny:
            return self
        return dataclasses.replace(self, size="mini", batch=2, seconds=(0.5,), rounds=1)


def new_encoder(settings, name):
    """An encoder of random weights, with checkpointing or without.

    Args:
        settings: `Settings`, resolved.
        name: `"with"` or `"without"`.

    Returns:
        `Wav2Vec2Backbone`.
    """
    keras.utils.set_random_seed(0)
    return Wav2Vec2Backbone.from_preset(
        settings.size,
        freeze_feature_encoder=settings.freeze_feature_encoder,
        gradient_checkpointing=name == WITH,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        **(_TINY if settings.tiny else {}),
    )


def training_pass(settings, seconds, name):
    """Forward and backward of the encoder.

    Args:
        settings: `Settings`, resolved.
        seconds: float, of each utterance.
        name: `"with"` or `"without"`.

    Returns:
        Function without arguments that gives loss and first gradient as arrays.
    """
    encoder = new_encoder(settings, name)
    shape = (settings.batch, int(seconds * SAMPLE_RATE))
    waveform = np.random.default_rng(0).normal(size=shape).astype("float32")
    inputs = {"waveform": waveform, "padding_mask": np.ones(shape, "bool")}
    return computations.forward_backward(encoder, inputs)


def peak(settings, seconds, name):
    """Peak memory of the first pass.

    Args:
        settings: `Settings`, resolved.
        seconds: float.
        name: `"with"` or `"without"`.

    Returns:
        int, bytes; `None` where the system does not tell.
    """
    measure.limit_threads(settings.threads)
    return measure.peak_memory(training_pass(settings, seconds, name))


def least(settings, seconds, name):
    """What `training_bytes` foretells.

    Args:
        settings: `Settings`, resolved.
        seconds: float.
        name: `"with"` or `"without"`.

    Returns:
        int, bytes.
    """
    encoder = new_encoder(settings, name)
    samples = int(seconds * SAMPLE_RATE)
    # What is measured has no optimizer.
    return training_bytes(encoder, settings.batch, samples, has_moments=True)


def main(settings):
    """Compare, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if the two do not compute the same.
    """
    settings = settings.resolved()
    measure.limit_threads(settings.threads)
    rows, details = [], []
    for seconds in settings.seconds:
        peaks = {
            name: measure.in_own_process(peak, settings, seconds, name) for name in (WITH, WITHOUT)
        }
        runs = {name: training_pass(settings, seconds, name) for name in (WITH, WITHOUT)}
        measure.check_equal("The two", *(run() for run in runs.values()), TOLERANCE)
        times = measure.in_turn(runs, settings.rounds)
        ratio = measure.ratio(times[WITH], times[WITHOUT])
        foretold = {name: least(settings, seconds, name) for name in (WITH, WITHOUT)}
        megabytes = [
            size and size / _MEGABYTE
            for name in (WITH, WITHOUT)
            for size in (peaks[name], foretold[name])
        ]
        rows.append([f"{settings.batch} x {seconds:g} s", ratio, *megabytes])
        details.append(
            {"seconds": seconds, "times": times, "peak_bytes": peaks, "least_bytes": foretold}
        )
        print(f"{rows[-1][0]}: {ratio}")
    frozen = "-frozen" if settings.freeze_feature_encoder else ""
    measure.report(
        f"checkpointing-{settings.size}{frozen}",
        settings,
        f"Gradient checkpointing of wav2vec2-{settings.size} on {keras.backend.backend()}",
        [
            "pass",
            "with / without",
            "with, MB",
            "foretold with, MB",
            "without, MB",
            "foretold without, MB",
        ],
        rows,
        details,
        settings.out,
    )
    return rows


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
