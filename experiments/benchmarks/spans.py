"""Span aggregation by prefix sums, and by gathering every frame of every span.

    python -m experiments.benchmarks.spans                           # a quarter of an hour
    KERAS_BACKEND=jax python -m experiments.benchmarks.spans --no-memory     # a few minutes
    python -m experiments.benchmarks.spans --tiny --no-memory        # try it out in seconds

Both choose the same anchors and spans, compiled alike: `tf.function`, `jax.jit`, plain on torch.
Ours pools by `pool_spans`; naive gathers `[batch, spans, longest, dim]` frames and multiplies them
by a mask. First the pools are compared. A series varies one quantity about a base case, and runs in
turn. "growth" is our time per frame of the batch, relative to the first case of the series; for it
ours runs once more in turn without naive, which would empty the processor's caches in between.

Peak memory is that of a first call, in a process of its own; "gathered" is computed. A masked sum
in place of the product takes twice that on torch; XLA fuses it, for less memory and no less time.
"""

import dataclasses
import math
import pathlib
from functools import partial

import keras
import numpy as np
import tyro
from keras import ops

from experiments.benchmarks import measure
from experiments.benchmarks.computations import compiled
from experiments.benchmarks.measure import in_own_process
from experiments.command_line import explained_errors
from pad_keras.losses.functional import anchor_spans, pool_spans, select_anchors, take_frames

# Widest first: the series over their number leaves the longest span alone.
SCALES = (2.0, 1.0, 0.5, 1.5, 0.75)
# Absolute, for standard normal frames; prefix sums of thousands of them lose digits.
TOLERANCE = 5e-4
METHODS = ("ours", "naive")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    rounds: int = 7
    """Times that each runs."""
    memory: bool = True
    """Whether to measure peak memory too."""
    threads: int | None = None
    """Threads to compute with; None leaves them to the backend."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small base case, and two cases of each series."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of a batch of random frames, and of its spans: the first so many of `SCALES`."""

    batch: int = 8
    frames: int = 300
    units: int = 20
    anchors: int = 40
    scales: int = 3
    dim: int = 384

    @property
    def longest(self):
        """Frames of the longest span, or one more where `anchor_spans` rounds down."""
        return math.ceil(SCALES[0] * self.frames / self.units)


def all_series(tiny):
    """Dict from the quantity that is varied to dict from its value to `Case`."""
    base = Case(batch=2, frames=60, units=4, anchors=8, dim=8) if tiny else Case()
    vary = partial(dataclasses.replace, base)
    n, m, batch = base.frames, base.units, base.batch
    series = {
        "frames": {v: vary(frames=v) for v in (n // 3, n, 10 * n // 3, 10 * n)},
        "text units": {v: vary(units=v, anchors=2 * v) for v in (m // 4, m // 2, m, 4 * m)},
        "scales": {v: vary(scales=v) for v in (1, 3, 5)},
        "batch": {v: vary(batch=v) for v in (1, batch, 4 * batch)},
        # Fewer units make longer spans; the same anchors, lest there be fewer of them.
        "span length": {v: vary(units=2 * n // v) for v in (n // 50, n // 15, n // 5, 2 * n // 3)},
    }
    limit = 2 if tiny else None
    return {name: dict(list(cases.items())[:limit]) for name, cases in series.items()}


def gather_spans(x, starts, ends, longest):
    """Mean of each span's frames as `pool_spans` gives it, by gathering `longest` for each."""
    positions = starts[:, :, None] + ops.arange(longest, dtype="int32")
    is_inside = ops.cast(positions < ends[:, :, None], "float32")
    batch, frames, dim = x.shape
    positions = ops.reshape(ops.minimum(positions, frames - 1), (batch, -1))
    gathered = ops.reshape(take_frames(x, positions), (batch, -1, longest, dim))
    # A product by the mask, since a masked copy would take the memory twice.
    sums = ops.matmul(is_inside[:, :, None, :], gathered)[:, :, 0]
    return sums / ops.maximum(ops.sum(is_inside, axis=-1, keepdims=True), 1.0)


def aggregation(case, method):
    """Compiled function without arguments: anchors, spans and pools of a random batch."""
    pool = pool_spans if method == "ours" else partial(gather_spans, longest=case.longest)

    def aggregate(x, significance, counts):
        frames, units, anchors = ops.unstack(counts)
        is_real = ops.ones_like(significance)
        anchors = select_anchors(significance, is_real, anchors, max_anchors=case.anchors)
        return pool(x, *anchor_spans(anchors, frames, units, SCALES[: case.scales]))

    generator = np.random.default_rng(0)
    x = generator.normal(size=(case.batch, case.frames, case.dim)).astype("float32")
    significance = generator.dirichlet(np.ones(case.frames), size=case.batch).astype("float32")
    counts = np.repeat([[case.frames], [case.units], [case.anchors]], case.batch, axis=1)
    return compiled(aggregate, x, significance, counts.astype("int32"))


def peak(case, method, threads):
    """Peak memory of an aggregation, bytes; call it in a process of its own."""
    measure.limit_threads(threads)
    return measure.peak_memory(aggregation(case, method))


def main(settings):
    """Compare, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if the two methods do not compute the same.
    """
    measure.limit_threads(settings.threads)
    measured = METHODS if settings.memory else ()
    rows, details = [], []
    for name, cases in all_series(settings.tiny).items():
        seconds, alone = _time_series(cases, settings.rounds)
        first = next(iter(cases))
        for value, case in cases.items():
            times = {m: seconds[value, m] for m in METHODS} | {"alone": alone[value]}
            share = cases[first].batch * cases[first].frames / (case.batch * case.frames)
            growth = measure.ratio([s * share for s in alone[value]], alone[first])
            ms = [1e3 * float(np.median(times[m])) for m in METHODS]
            memory = [in_own_process(peak, case, m, settings.threads) for m in measured]
            ratio = measure.ratio(times["naive"], times["ours"])
            rows.append([f"{name} {value}", *ms, ratio, growth])
            gathered = 4 * case.batch * case.anchors * case.scales * case.longest * case.dim
            rows[-1] += [size and size / 1e6 for size in (*memory, gathered)]
            print(f"{name} {value}: {ratio}")
            details.append({"series": name, "case": case, "times": times, "peak_bytes": memory})
    columns = ["case", "ours, ms", "naive, ms", "naive / ours", "growth"]
    columns += [f"{name}, MB" for name in (*measured, "gathered")]
    title = f"Span aggregation on {keras.backend.backend()}"
    measure.report("spans", settings, title, columns, rows, details, settings.out)
    return rows


def _time_series(cases, rounds):
    """Check that the methods' pools are equal; seconds of both in turn, and of ours without."""
    runs = {(v, name): aggregation(case, name) for v, case in cases.items() for name in METHODS}
    for value, case in cases.items():
        pools = (runs[value, name]() for name in METHODS)
        measure.check_equal(f"The pools of {case}", *pools, TOLERANCE)
    ours = {value: runs[value, "ours"] for value in cases}
    return measure.in_turn(runs, rounds), measure.in_turn(ours, rounds)


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
