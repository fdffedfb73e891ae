"""The summary of a grid: everything that its tables and figures show, as JSON."""

from experiments.comparison.configuration import TOPLINE, UNDISTILLED
from experiments.comparison.grid import CRITERIA
from experiments.comparison.measures import (
    COLUMNS,
    PARTS,
    Run,
    difference,
    estimate,
    few_shot_columns,
    gap_closed,
)
from experiments.results import versions

RETRIEVAL = {"recall_at_1": "recall@1", "recall_at_10": "recall@10"}
ALIGNMENT = {
    **RETRIEVAL,
    "word_overlap": "word overlap",
    # Longer spans overlap more words by chance, so methods differ in it.
    "word_overlap_chance": "word overlap by chance",
}


def summarise(grid, pairs):
    """Summarise what is done of a grid.

    Args:
        grid: `Grid`.
        pairs: sequence of `(name, baseline)`, the encoders to compare pairwise.

    Returns:
        Dict of `configuration`, `versions`, `jobs`, `search`, `encoders` (each with its `runs` and
        `table`, `gap_closed`, `shots` and `alignment`), `differences` and `chance`.
    """
    fixed = {encoder.name: [encoder] for encoder in grid.fixed_encoders()}
    encoders = {**fixed, **{name: _distilled(grid, name) for name in grid.variants}}
    columns = (*COLUMNS, *PARTS, *few_shot_columns(grid.comparison.shots))
    runs = {name: column_runs(grid, found, columns) for name, found in encoders.items()}
    tables = {
        name: {key: estimate(values) for key, values in found.items()}
        for name, found in runs.items()
    }
    aligned = {name: _alignment_runs(grid, name) for name in encoders}
    jobs = grid.jobs()
    return {
        "configuration": grid.comparison,
        "versions": versions(),
        "jobs": {
            "planned": len(jobs),
            "done": sum(grid.result(job) is not None for job in jobs),
        },
        "search": _searches(grid),
        "encoders": {
            name: {
                "runs": runs[name],
                "table": tables[name],
                "gap_closed": _gaps(runs, name, columns) if name in grid.variants else {},
                "shots": _shots(tables[name], columns),
                "alignment": {key: estimate(values) for key, values in aligned[name].items()},
            }
            for name in encoders
        },
        "differences": _differences(
            {name: {**runs[name], **aligned[name]} for name in encoders},
            pairs,
            [*(column.key for column in columns), *RETRIEVAL],
        ),
        "chance": _chance(grid, encoders),
        "alignment_chance": _alignment_chance(grid),
    }


def column_runs(grid, encoders, columns):
    """Values of columns of encoders that share a row.

    Args:
        grid: `Grid`.
        encoders: list of `Encoder`.
        columns: sequence of `Column`.

    Returns:
        Dict from a column's key to list of `Run`; a column without values is left out.
    """
    found = {}
    for encoder in encoders:
        for column in columns:
            if column.task not in grid.comparison.tasks:
                continue
            results = grid.result(grid.heads_of(encoder, column.task, column.shots))
            # Heads that diverged at each learning rate have no test.
            if results is None or column.part not in results.get("test", {}):
                continue
            values = results["test"][column.part][column.measure]["seeds"]
            for seed, value in zip(results["configuration"]["seeds"], values, strict=True):
                # Without a slot in any reference there is no error rate.
                if value is not None:
                    found.setdefault(column.key, []).append(Run(value, seed, encoder.seed))
    return found


def _distilled(grid, name):
    """The students of a variant at its learning rate, one a seed."""
    rate = grid.learning_rate(name)
    seeds = [] if rate is None else grid.comparison.seeds
    return [grid.distilled(name, rate, seed) for seed in seeds]


def _searches(grid):
    """How each variant's learning rate came about."""
    return {
        name: {
            "criterion": CRITERIA[grid.comparison.select_by],
            "seed": grid.comparison.seeds[0],
            "values": {f"{rate:g}": value for rate, value in grid.search(name).items()},
            "learning_rate": grid.learning_rate(name),
        }
        for name in grid.variants
    }


def _gaps(runs, name, columns):
    found = {}
    for column in columns:
        values = [runs.get(one, {}).get(column.key) for one in (name, UNDISTILLED, TOPLINE)]
        if None not in values:
            found[column.key] = gap_closed(*values, column.lower_is_better)
    return found


def _shots(table, columns):
    """What of a table is accuracy of intents by the number of training utterances of each."""
    few = [column for column in columns if column.shots is not None and column.key in table]
    return {str(column.shots): table[column.key] for column in few}


def _alignment_runs(grid, name):
    """Alignment on the test set of what is distilled on, by distillation seed."""
    rate = grid.learning_rate(name) if name in grid.variants else None
    runs = {}
    for seed in grid.comparison.seeds if rate is not None else ():
        results = grid.result(grid.distillation(name, rate, seed)) or {}
        for measure, value in (results.get("test") or {}).items():
            if measure in ALIGNMENT:
                runs.setdefault(measure, []).append(Run(value, seed=seed))
    return runs


def _differences(runs, pairs, keys):
    found = []
    for name, baseline in pairs:
        for key in keys:
            values = [runs.get(one, {}).get(key) for one in (name, baseline)]
            compared = None if None in values else difference(*values)
            if compared is not None:
                found.append({"name": name, "baseline": baseline, "column": key, **compared})
    return found


def _chance(grid, encoders):
    """What answering alike always would give, by column."""
    found = {}
    for column in COLUMNS:
        for encoder in (one for group in encoders.values() for one in group):
            if column.task in grid.comparison.tasks and column.key not in found:
                results = grid.result(grid.heads_of(encoder, column.task))
                if results is not None and "chance" in results:
                    found[column.key] = results["chance"][column.measure]
    return found


def _alignment_chance(grid):
    """What chance would give of retrieval, which is the same for all."""
    for name in grid.variants:
        rate = grid.learning_rate(name)
        if rate is not None:
            results = grid.result(grid.distillation(name, rate, grid.comparison.seeds[0]))
            if results and results.get("test"):
                utterances = results["utterances"]["test"]
                return {f"recall_at_{k}": min(1.0, k / utterances) for k in (1, 10)}
    return {}
