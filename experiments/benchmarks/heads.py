"""How long a training step of SUPERB's heads takes, against the same heads in plain torch.

    KERAS_BACKEND=jax python -m experiments.benchmarks.heads
    KERAS_BACKEND=jax python -m experiments.benchmarks.heads --tiny     # in a minute: does it run?

The heads train on random hidden states, as a cache gives them, padded to one length:
`UtteranceClassifier` on states of frames and on pooled ones, `SlotFiller` on states of frames,
without dropout and SpecAugment. Beside them on the same batch, in float32 and with as many threads:
the same modules with the same weights in torch (`experiments.benchmarks.torch_heads`). All must
begin at the same loss, to 1 in 10,000. A ratio above 1 says that the other takes longer. Ours step
by `train_on_batch`, which also counts right answers; TensorFlow and JAX trace and compile first,
before the clock runs. torch's heads stay on the CPU: hide GPUs by `CUDA_VISIBLE_DEVICES=`. Expect
ten minutes on one core.
"""

import dataclasses
import pathlib
import statistics

import keras
import numpy as np
import tyro

from experiments.benchmarks import measure
from experiments.benchmarks.head_steps import CLASSIFIER, FILLER, POOLED, TORCH, candidates
from experiments.command_line import explained_errors

TOLERANCE = 1e-4
# Steps that one round takes the time of: one of pooled states takes a millisecond.
STEPS = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes of the heads and the batch, and where the figures go."""

    batch: int = 16
    """Utterances of the batch."""
    frames: int = 160
    """Frames of the longest; the shortest has half as many. 50 are a second."""
    layers: int = 12
    """Transformer layers of the encoder; there is one hidden state more."""
    dim: int = 768
    """Width of the hidden states."""
    lstm_dim: int = 128
    """Width of each direction of the slot filler's LSTMs (SUPERB: 1024)."""
    projection_dim: int = 256
    """Width of the heads' projections (SUPERB's slot filler: 1024)."""
    rounds: int = 10
    """How often each head is timed."""
    threads: int | None = 1
    """Threads of both sides; None leaves all as it is."""
    tiny: bool = False
    """Try everything out in a minute: a small batch, narrow heads, one round."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""

    def resolved(self):
        """The settings that are run: themselves, or their tiny form.

        Returns:
            `Settings`.
        """
        if not self.tiny:
            return self
        return dataclasses.replace(
            self, batch=3, frames=12, layers=1, dim=8, lstm_dim=4, projection_dim=4, rounds=1
        )


def check_equal(losses):
    """Refuse heads that do not begin at one loss.

    Args:
        losses: dict from name to float.

    Raises:
        ValueError: if one is further than 1 in 10,000 from another.
    """
    # Of NumPy: a NaN among them is both least and greatest, and the comparison is false.
    least, greatest = np.min(list(losses.values())), np.max(list(losses.values()))
    if not greatest - least <= TOLERANCE * greatest:
        raise ValueError(f"The heads do not begin at one loss (to {TOLERANCE:g}): {losses}.")


def repeated(step):
    """Several steps as one, for a clock.

    Args:
        step: function without arguments.

    Returns:
        The same.
    """

    def steps():
        for _ in range(STEPS):
            step()

    return steps


def main(settings):
    """Check, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        Dict from the head's name to a list of seconds of a step, one a round.

    Raises:
        ValueError: if heads that should be one do not begin at one loss.
    """
    measure.limit_threads(settings.threads)
    settings = settings.resolved()
    groups = candidates(settings)
    seconds, losses = {}, []
    for group in groups:
        losses.append({name: step() for name, step in group.items()})
        check_equal(losses[-1])
    for group in groups:
        steps = {name: repeated(step) for name, step in group.items()}
        for name, rounds in measure.in_turn(steps, settings.rounds).items():
            seconds[name] = [round_seconds / STEPS for round_seconds in rounds]
    heads = (CLASSIFIER, POOLED, FILLER)
    rows = [_row(seconds, name, TORCH.format(name), "torch") for name in heads]
    rows.append(_row(seconds, POOLED, CLASSIFIER, CLASSIFIER))
    measure.report(
        "heads-tiny" if settings.tiny else "heads",
        settings,
        f"A training step on {keras.backend.backend()}, milliseconds",
        ["head", "ms", "other", "other, ms", "other / head"],
        rows,
        {"seconds": seconds, "first_losses": losses},
        settings.out,
    )
    return seconds


def _row(seconds, name, other, shown):
    """A line of the table; the other is shown by a name of its own."""
    ours, theirs = (1000 * statistics.median(seconds[key]) for key in (name, other))
    return [name, ours, shown, theirs, measure.ratio(seconds[other], seconds[name])]


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
