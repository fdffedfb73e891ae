"""Is a run that is killed at a random moment, and started again, the run that it would have been?

    python -m experiments.benchmarks.kills          # 20 kills of a distillation: half an hour
    python -m experiments.benchmarks.kills --run pretrain
    python -m experiments.benchmarks.kills --kills 1                # try it out

Runs a small distillation or pretraining to its end. Then, each time in a new folder, starts it
again, kills it (SIGKILL) at a moment drawn evenly from the time that the first one took, gives the
same command once more, and compares results and weights with the first run's. Ends with an error if
one differs by more than rounding, or if a file is left behind that the first run did not leave.
"""

import contextlib
import dataclasses
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Literal

import keras
import numpy as np
import tyro

from experiments.benchmarks import measure
from experiments.checks import check_at_least_one
from experiments.command_line import explained_errors
from pad_keras.models import Wav2Vec2Backbone

# Relative, of losses after some updates; kernels may add in another order from run to run.
_TOLERANCE = 1e-3
_COMMANDS = {
    "distill": ("experiments.distill", "joint", "--tiny", "--training.no-cache-frames"),
    "pretrain": ("experiments.pretrain", "--tiny"),
}
_ENCODERS = {"distill": "student", "pretrain": "encoder"}
# What tells where a run is, not what it did.
_PLACES = ("configuration", "versions")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is killed, and how often."""

    run: Literal["distill", "pretrain"] = "distill"
    """The experiment."""
    kills: int = 20
    """Runs that are killed, once each."""
    seed: int = 0
    """Of the moments."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""

    def __post_init__(self):
        """Check that there is something to do."""
        check_at_least_one(self, "kills")


def start(run, folder, log):
    """Start a run.

    Args:
        run: str, of `Settings`.
        folder: path that it writes into.
        log: open file for all it says.

    Returns:
        `subprocess.Popen`.
    """
    command = [sys.executable, "-m", *_COMMANDS[run], "--out", str(folder), "--name", run]
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def finish(run, folder, log):
    """Give the command and wait for the end.

    Args:
        run: str, of `Settings`.
        folder: path.
        log: open file.

    Returns:
        float, seconds.

    Raises:
        RuntimeError: with its last words, if the run fails.
    """
    began = time.perf_counter()
    if start(run, folder, log).wait():
        said = pathlib.Path(log.name).read_text(errors="replace")
        raise RuntimeError(f"The run in {folder} failed:\n{said[-2000:]}")
    return time.perf_counter() - began


def kill(run, folder, log, moment):
    """Start a run and kill it.

    Args:
        run: str, of `Settings`.
        folder: path.
        log: open file.
        moment: float, seconds after the start.

    Returns:
        Tuple of a bool, whether it was still running, and a str, the newest file that it left.
    """
    process = start(run, folder, log)
    time.sleep(moment)
    was_running = process.poll() is None
    process.kill()
    process.wait()
    return was_running, "results" if list(folder.glob("*/results.json")) else _last(folder)


def outcome(run, folder):
    """What a run left.

    Args:
        run: str, of `Settings`.
        folder: path that it wrote into.

    Returns:
        Tuple of the numbers of its results (dict from path in the JSON to float), the encoder's
        weights (list of arrays) and the names of the files beside it (set of str).
    """
    folder = folder / f"{run}-tiny"
    results = json.loads((folder / "results.json").read_text())
    numbers = dict(_numbers({k: v for k, v in results.items() if k not in _PLACES}))
    weights = Wav2Vec2Backbone.from_preset(str(folder / _ENCODERS[run])).get_weights()
    # Of TensorBoard's log there is one file a process.
    files = {p.relative_to(folder) for p in folder.rglob("*") if "tensorboard" not in p.parts}
    return numbers, weights, {str(path) for path in files}


def difference(found, expected):
    """How far two outcomes are apart.

    Args:
        found: as `outcome` gives it.
        expected: the same, of the run that was not killed.

    Returns:
        float, the largest relative difference of a result, or of the encoder's weights by their
        norm.

    Raises:
        ValueError: naming files or results that only one has.
    """
    (numbers, weights, files), (other_numbers, other_weights, other_files) = found, expected
    for kind, mine, theirs in (
        ("files", files, other_files),
        ("results", numbers.keys(), other_numbers.keys()),
    ):
        if odd := sorted(mine ^ theirs):
            raise ValueError(f"Only one of the runs has the {kind} {odd[:5]}.")
    furthest = max(_relative(numbers[name], other_numbers[name]) for name in numbers)
    moved = math.sqrt(
        sum(np.sum((a - b) ** 2) for a, b in zip(weights, other_weights, strict=True))
    )
    norm = math.sqrt(sum(np.sum(b**2) for b in other_weights))
    return float(max(furthest, moved / norm))


def main(settings):
    """Run, kill, go on, compare, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if a killed run came to another end.
        RuntimeError: if a run fails.
    """
    with contextlib.ExitStack() as stack:
        temporary = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(open(temporary / "log.txt", "w"))
        whole = finish(settings.run, temporary / "whole", log)
        expected = outcome(settings.run, temporary / "whole")
        print(f"unbroken: {whole:.0f} s, {len(expected[0])} results")
        moments = np.random.default_rng(settings.seed).uniform(0, whole, settings.kills)
        rows = []
        for index, moment in enumerate(moments):
            folder = temporary / f"killed-{index}"
            was_running, left = kill(settings.run, folder, log, moment)
            finish(settings.run, folder, log)
            apart = difference(outcome(settings.run, folder), expected)
            rows.append([f"{moment / whole:.0%}", "yes" if was_running else "no", left, apart])
            print(f"killed at {rows[-1][0]}, where it had {left}: {apart:.1g} apart")
    measure.report(
        f"kills-{settings.run}",
        settings,
        f"{settings.run} on {keras.backend.backend()}, killed and started again",
        ["killed at", "was running", "newest it had", "difference"],
        rows,
        {"results": len(expected[0])},
        settings.out,
    )
    worst = max(row[-1] for row in rows)
    if not worst <= _TOLERANCE:
        raise ValueError(
            f"A killed run ended {worst:.2g} apart; at most {_TOLERANCE:g} is rounding."
        )
    return rows


def _numbers(value, path=""):
    """Numbers of a nest, with their paths."""
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(entry, f"{path}/{key}")
    elif isinstance(value, int | float):
        yield path, float(value)


def _relative(a, b):
    return abs(a - b) / max(abs(b), 1.0)


def _last(folder):
    """The newest file of a run that was killed."""
    files = [p for p in folder.rglob("*") if p.is_file() and "tensorboard" not in p.parts]
    return max(files, key=lambda path: path.stat().st_mtime).name if files else "nothing"


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
