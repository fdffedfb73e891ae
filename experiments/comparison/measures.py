"""Measures of a grid with seeds nested in seeds: means, intervals, paired differences, gaps."""

import dataclasses

import numpy as np

from experiments.statistics import mean_interval, paired_difference

# Below, an interval says more about t of one degree of freedom than about the runs.
MIN_RUNS = 3


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        key: str, names it in JSON.
        title: str, names it in the table.
        task: str, the task.
        measure: str, as the task calls it.
        part: str, of the test set.
        lower_is_better: bool.
        shots: int, training utterances of each class; `None` for all.
    """

    key: str
    title: str
    task: str
    measure: str
    part: str = "all"
    lower_is_better: bool = False
    shots: int | None = None


COLUMNS = (
    Column("ic", "IC accuracy", "ic", "exact_match"),
    Column("sf_f1", "SF F1", "sf", "slot_type_f1"),
    Column("sf_cer", "SF CER, lower is better", "sf", "slot_value_cer", lower_is_better=True),
    Column("er", "ER accuracy", "er", "exact_match"),
)
PARTS = (
    Column("ic_seen", "IC, seen wordings", "ic", "exact_match", "seen"),
    Column("ic_unseen", "IC, unseen wordings", "ic", "exact_match", "unseen"),
)


def few_shot_columns(shots):
    """Columns of intents told from few utterances of each.

    Args:
        shots: iterable of int.

    Returns:
        List of `Column`.
    """
    return [Column(f"ic_{k}_shot", f"IC, {k} of each", "ic", "exact_match", shots=k) for k in shots]


@dataclasses.dataclass(frozen=True)
class Run:
    """One measured value.

    Args:
        value: float.
        head_seed: int; `None` of what is measured without a head.
        seed: int, of the distillation; `None` of an encoder that is not distilled.
    """

    value: float
    head_seed: int | None = None
    seed: int | None = None


def nested(runs):
    """Runs by distillation seed, then by head seed.

    Args:
        runs: list of `Run`.

    Returns:
        Dict of dicts of floats.
    """
    found = {}
    for run in runs:
        found.setdefault(run.seed, {})[run.head_seed] = run.value
    return found


def independent_values(runs):
    """Values that may be taken for independent: one a distillation seed, or one a head seed.

    Heads on one student share its distillation, so they are averaged first. An encoder that is
    not distilled has only its heads.

    Args:
        runs: list of `Run` of one encoder and measure.

    Returns:
        Tuple `(values, over)`: dict from seed to float, and `"distillation seeds"` or
        `"head seeds"`.
    """
    by_seed = nested(runs)
    if set(by_seed) == {None}:
        return by_seed[None], "head seeds"
    return {
        seed: float(np.mean(list(heads.values()))) for seed, heads in by_seed.items()
    }, "distillation seeds"


def estimate(runs):
    """Mean and 95 % interval of an encoder's measure.

    Args:
        runs: list of `Run`, not empty.

    Returns:
        Dict of `mean`, `interval` (half width; `None` below `MIN_RUNS` values), `n`, the number of
        values, and `over`, what they are.
    """
    values, over = independent_values(runs)
    mean, interval = mean_interval(list(values.values()))
    return {
        "mean": mean,
        "interval": interval if len(values) >= MIN_RUNS else None,
        "n": len(values),
        "over": over,
    }


def difference(runs, others):
    """Paired difference of two encoders, under the same seeds.

    Distilled encoders pair by distillation seed, their heads averaged over the head seeds that
    both have. One that is not distilled is the same at each distillation seed, and pairs head seed
    by head seed; two such encoders pair by head seed alone.

    Args:
        runs: list of `Run`.
        others: list of `Run` of the other encoder.

    Returns:
        Dict of `mean`, `interval`, `p` (both `None` below `MIN_RUNS` pairs), `n` and `over`;
        `None` if no seed is common.
    """
    first, second = nested(runs), nested(others)
    if set(first) == set(second) == {None}:
        pairs, over = _common(first[None], second[None]), "head seeds"
    else:
        pairs, over = [], "distillation seeds"
        for seed in [s for s in {**first, **second} if s is not None]:
            heads = [by_seed.get(seed, by_seed.get(None)) for by_seed in (first, second)]
            common = [] if None in heads else _common(*heads)
            if common:
                pairs.append(tuple(np.mean(common, axis=0)))
    if not pairs:
        return None
    found = paired_difference(*zip(*pairs, strict=True))._asdict()
    if found["n"] < MIN_RUNS:
        found |= {"interval": None, "p": None}
    return {**found, "over": over}


def gap_closed(runs, undistilled, topline, lower_is_better=False):
    """Share of the gap between the undistilled student and the topline that is closed.

    Args:
        runs: list of `Run`.
        undistilled: list of `Run`.
        topline: list of `Run`.
        lower_is_better: bool.

    Returns:
        Dict as of `difference`, without `p`, in shares of the gap of the means; `None` if there is
        no gap, that is, if the topline is no better.
    """
    gap = estimate(topline)["mean"] - estimate(undistilled)["mean"]
    gained = difference(runs, undistilled)
    if gained is None or (gap >= 0 if lower_is_better else gap <= 0):
        return None
    interval = gained["interval"]
    return {
        "mean": gained["mean"] / gap,
        "interval": None if interval is None else interval / abs(gap),
        "n": gained["n"],
        "over": gained["over"],
    }


def _common(first, second):
    """Pairs of the values that stand under the same keys."""
    return [(first[key], second[key]) for key in first if key in second]
