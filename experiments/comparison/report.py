"""Tables of a comparison, for the terminal and in Markdown."""

import dataclasses

from experiments.comparison.configuration import TOPLINE, UNDISTILLED
from experiments.comparison.measures import COLUMNS, MIN_RUNS, PARTS, few_shot_columns
from experiments.comparison.summary import ALIGNMENT, RETRIEVAL
from experiments.results import print_table

_NONE = "-"
_SHORT = {"distillation seeds": "seeds", "head seeds": "heads"}


@dataclasses.dataclass(frozen=True)
class Text:
    """A table as text.

    Args:
        title: str.
        columns: list of str.
        rows: list of lists of str.
        notes: str, what a reader must know of it.
    """

    title: str
    columns: list
    rows: list
    notes: str = ""


def tables(summary, title, names=None):
    """The tables of a summary.

    Args:
        summary: dict, as `experiments.comparison.summary.summarise` gives it.
        title: str, of the main table.
        names: sequence of str, the rows; by default all encoders. Where they are given, only the
            pairs among them are compared.

    Returns:
        List of `Text`; one without rows is left out.
    """
    encoders = summary["encoders"]
    chosen = {name: encoders[name] for name in (names or encoders)}
    differences = [
        one for one in summary["differences"] if {one["name"], one["baseline"]} <= chosen.keys()
    ]
    planned, done = summary["jobs"]["planned"], summary["jobs"]["done"]
    if done < planned:
        title = f"{title} (unfinished: {done} of {planned} jobs)"
    main, further = _titles(COLUMNS), _titles([*PARTS, *few_shot_columns(_shots(chosen))])
    found = [
        _main_table(chosen, summary["chance"], title),
        _differences_table("Paired differences", differences, main),
        _differences_table(
            "Paired differences: wordings, few labels, retrieval",
            differences,
            {**further, **RETRIEVAL},
        ),
        _gap_table(chosen, {**main, **further}),
        _parts_table(chosen),
        _shots_table(chosen),
        _alignment_table(chosen, summary["alignment_chance"]),
        _search_table({n: one for n, one in summary["search"].items() if n in chosen}),
    ]
    return [table for table in found if table.rows]


def print_tables(found):
    """Print tables to the terminal.

    Args:
        found: list of `Text`.
    """
    for table in found:
        print_table(table.title, table.columns, table.rows)
        if table.notes:
            print(f"{table.notes}\n")


def markdown(found):
    """Tables in Markdown.

    Args:
        found: list of `Text`.

    Returns:
        str.
    """
    parts = []
    for table in found:
        lines = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)], *table.rows]
        parts += [f"### {table.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        parts += [table.notes] if table.notes else []
    return "\n\n".join(parts) + "\n"


def told(value, signed=False):
    """A mean and its interval as text.

    Args:
        value: dict of `mean` and `interval`, or `None`.
        signed: bool, whether a plus is written.

    Returns:
        str.
    """
    if value is None:
        return _NONE
    mean = f"{value['mean']:{'+' if signed else ''}.3f}"
    return mean if value["interval"] is None else f"{mean} ± {value['interval']:.3f}"


def _titles(columns):
    return {column.key: column.title for column in columns}


def _shots(encoders):
    """The numbers of training utterances of each intent that any encoder has a value of."""
    return sorted({int(k) for one in encoders.values() for k in one["shots"]})


def _used(encoders, columns):
    """Columns that any encoder has a value of."""
    return [c for c in columns if any(c.key in one["table"] for one in encoders.values())]


def _counts(values):
    """How many independent values stand behind some estimates, in words."""
    counts = sorted({(value["n"], value["over"]) for value in values if value})
    return ", ".join(f"{n} {_SHORT[over][: None if n > 1 else -1]}" for n, over in counts)


def _main_table(encoders, chance, title):
    columns = _used(encoders, COLUMNS)
    rows = [
        [name, *(told(one["table"].get(c.key)) for c in columns), _counts(one["table"].values())]
        for name, one in encoders.items()
        if one["table"]
    ]
    if rows:
        cells = [f"{chance[c.key]:.3f}" if c.key in chance else _NONE for c in columns]
        rows.append(["chance", *cells, _NONE])
    return Text(
        title,
        ["encoder", *(c.title for c in columns), "over"],
        rows,
        "Test set; mean and 95 % interval (Student's t). Heads on one distilled student are "
        "averaged first, and the interval is over distillation seeds (seeds); of encoders that "
        "are not distilled it is over the seeds of their heads (heads). Fewer than "
        f"{MIN_RUNS} values have no interval.",
    )


def _differences_table(title, differences, titles):
    by_pair = {}
    for one in differences:
        if one["column"] in titles:
            by_pair.setdefault((one["name"], one["baseline"]), {})[one["column"]] = one
    keys = [key for key in titles if any(key in found for found in by_pair.values())]
    rows = []
    for (name, baseline), found in by_pair.items():
        cells = [_difference(found.get(key)) for key in keys]
        rows.append([f"{name} - {baseline}", *cells, _counts(found.values())])
    return Text(
        title,
        ["difference", *(titles[key] for key in keys), "pairs"],
        rows,
        "Mean and 95 % interval of the differences under the same seeds, and p of the paired t "
        "test, two-sided and not corrected for the number of tests.",
    )


def _difference(one):
    if one is None or one["p"] is None:
        return told(one, signed=True)
    return f"{told(one, signed=True)} (p {one['p']:.3f})"


def _gap_table(encoders, titles):
    keys = [key for key in titles if any(one["gap_closed"].get(key) for one in encoders.values())]
    rows = [
        [name, *(told(one["gap_closed"].get(key)) for key in keys)]
        for name, one in encoders.items()
        if any(one["gap_closed"].values())
    ]
    return Text(
        f"Share of the gap between {UNDISTILLED} and topline ({TOPLINE}) that is closed",
        ["encoder", *(titles[key] for key in keys)],
        rows,
        f"0 is {UNDISTILLED}, 1 is {TOPLINE}; the interval takes the gap for exact. A dash stands "
        "where the topline is no better.",
    )


def _parts_table(encoders):
    columns = _used(encoders, PARTS)
    rows = [
        [name, *(told(one["table"].get(column.key)) for column in columns)]
        for name, one in encoders.items()
        if columns and one["table"]
    ]
    return Text("Parts of the test set", ["encoder", *(c.title for c in columns)], rows)


def _shots_table(encoders):
    shots = _shots(encoders)
    rows = [
        [name, *(told(one["shots"].get(str(k))) for k in shots), told(one["table"].get("ic"))]
        for name, one in encoders.items()
        if one["shots"]
    ]
    return Text(
        "IC accuracy by training utterances of each intent",
        ["encoder", *map(str, shots), "all"],
        rows,
    )


def _alignment_table(encoders, chance):
    rows = [
        [name, *(told(one["alignment"].get(measure)) for measure in ALIGNMENT)]
        for name, one in encoders.items()
        if one["alignment"]
    ]
    if rows:
        cells = [f"{chance[m]:.3f}" if m in chance else _NONE for m in ALIGNMENT]
        rows.append(["chance", *cells])
    return Text(
        "Alignment of speech and text, test set of the distillation",
        ["encoder", *ALIGNMENT.values()],
        rows,
        "recall: text-to-speech retrieval among the test utterances; word overlap: text units "
        "whose best span overlaps their word.",
    )


def _search_table(searches):
    rates = list(dict.fromkeys(rate for one in searches.values() for rate in one["values"]))
    rows = []
    for name, one in searches.items():
        if len(one["values"]) > 1:
            values = (one["values"].get(rate) for rate in rates)
            cells = [_NONE if value is None else f"{value:.3f}" for value in values]
            chosen = one["learning_rate"]
            rows.append([name, *cells, _NONE if chosen is None else f"{chosen:g}"])
    return Text(
        "Learning rates of distillation on valid",
        ["encoder", *rates, "chosen"],
        rows,
        "".join(
            f"First distillation seed alone; {one['criterion']}. A dash is a run that diverged or "
            "is not done."
            for one in list(searches.values())[:1]
        ),
    )
