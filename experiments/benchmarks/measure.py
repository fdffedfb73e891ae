"""Times of several candidates in turn, their ratios, and peak memory."""

import concurrent.futures
import dataclasses
import importlib.util
import multiprocessing
import os
import pathlib
import statistics
import time

import keras
import numpy as np

from experiments.results import print_table, versions, write_json

RESULTS = pathlib.Path("experiments/results/benchmarks")
_KIBIBYTE = 1024
_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")
# Resets the peak of resident memory (`man 5 proc`).
_RESET_PEAK = "5"


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How many times as long one candidate takes as another, round by round.

    Args:
        median: float, over the rounds.
        low: float, the first quartile.
        high: float, the third quartile.
    """

    median: float
    low: float
    high: float

    def __str__(self):
        """Median and quartiles, as tables show them."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def in_turn(candidates, rounds, clock=time.perf_counter):
    """Time candidates side by side, so that what slows the machine down slows all of them.

    Each runs once unmeasured. Then in each round each runs once, every other round backwards.

    Args:
        candidates: dict from name to function without arguments, that returns when all is computed
            (see `finished`).
        rounds: int.
        clock: function that gives seconds; `time.process_time` for processor seconds.

    Returns:
        Dict from name to list of `rounds` floats, seconds.

    Raises:
        ValueError: if `rounds` is less than 1.

    Example:

    ```python
    seconds = in_turn({"ours": ours, "theirs": theirs}, rounds=5)
    ratio(seconds["ours"], seconds["theirs"]).median
    ```
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1, got {rounds}.")
    for run in candidates.values():
        run()
    seconds = {name: [] for name in candidates}
    for index in range(rounds):
        order = list(candidates.items())
        for name, run in order if index % 2 == 0 else reversed(order):
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def ratio(seconds, reference):
    """Ratio of two candidates that `in_turn` timed.

    Args:
        seconds: list of floats, one a round.
        reference: list of floats, of the same rounds.

    Returns:
        `Ratio` of `seconds` to `reference`.
    """
    ratios = [ours / theirs for ours, theirs in zip(seconds, reference, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(statistics.median(ratios), low, high)


def check_equal(what, one, other, tolerance):
    """Refuse to compare what does not compute the same.

    Args:
        what: str, the two, for the message.
        one: array, or tuple of arrays.
        other: the same of the other.
        tolerance: float, of the largest number of `other`.

    Raises:
        ValueError: with the largest difference.
    """
    pairs = zip(*(v if isinstance(v, tuple) else (v,) for v in (one, other)), strict=True)
    for pair in pairs:
        mine, theirs = (np.asarray(array, "float32") for array in pair)
        difference = np.max(np.abs(mine - theirs)) / max(np.max(np.abs(theirs)), 1e-30)
        if not difference <= tolerance:
            raise ValueError(
                f"{what} differ by {difference:.2g} of the largest number; at most {tolerance:g} "
                "is allowed."
            )


def finished(outputs):
    """Wait until outputs are computed; JAX, and TensorFlow on a GPU, return before.

    Args:
        outputs: nest of tensors of the backend.

    Returns:
        The same nest as NumPy arrays.
    """
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def limit_threads(threads):
    """Let each backend that is installed compute with so many threads; call it before any does.

    Args:
        threads: int, or `None` to leave all as it is.

    Raises:
        RuntimeError: by TensorFlow, if it has computed something already.
    """
    if threads is None:
        return
    if importlib.util.find_spec("tensorflow"):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    # XLA on a CPU has no such setting: it counts the cores that the process may use.
    os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:threads]))


def peak_memory(run):
    """Resident memory that a call takes beyond what the process held before it.

    Freed memory that the process still holds would hide a peak: give each measurement a process
    of its own (`in_own_process`).

    Args:
        run: function without arguments.

    Returns:
        int, bytes; `None` where the system does not tell (it takes Linux).
    """
    try:
        _CLEAR.write_text(_RESET_PEAK)
        before = resident("VmRSS")
        run()
        return resident("VmHWM") - before
    except OSError:
        return None


def in_own_process(function, *arguments):
    """Call a function in a new process.

    Args:
        function: of a module, not a lambda.
        *arguments: what pickles.

    Returns:
        What it returns.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def resident(field):
    """Resident memory of this process.

    Args:
        field: str, of its status: `"VmRSS"`, what it holds now, or `"VmHWM"`, the peak.

    Returns:
        int, bytes.

    Raises:
        OSError: where the system does not tell (it takes Linux).
    """
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * _KIBIBYTE
    raise OSError(f"{_STATUS} has no {field}.")


def report(name, settings, title, columns, rows, details, out=RESULTS):
    """Print a table, and write it with all that it was made of.

    Args:
        name: str, of the JSON file; the backend is appended.
        settings: dataclass, what the command was asked for.
        title: str.
        columns: list of str.
        rows: list of lists.
        details: what JSON knows, such as each round's seconds.
        out: path of a folder.
    """
    print_table(title, columns, rows)
    path = pathlib.Path(out) / f"{name}-{keras.backend.backend()}.json"
    table = [
        dict(zip(columns, [str(c) if isinstance(c, Ratio) else c for c in row], strict=True))
        for row in rows
    ]
    write_json(
        path,
        {
            "settings": settings,
            "versions": versions(),
            "cores": len(os.sched_getaffinity(0)),
            "table": table,
            "details": details,
        },
    )
    print(f"written: {path}")
