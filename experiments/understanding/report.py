"""The report of an experiment in understanding in the terminal."""

from experiments.results import print_table

# name of a measure: how tables call it
MEASURES = {
    "exact_match": "accuracy",
    "slot_type_f1": "slot-type F1",
    "slot_value_cer": "slot-value CER",
}


def print_results(results, folder):
    """Print the table of an experiment, and where everything is.

    Args:
        results: dict, as `experiments.understanding.run.understand` returns it.
        folder: path of the experiment.
    """
    settings = results["configuration"]
    seeds = len(settings["seeds"])
    shots = "" if settings["shots"] is None else f", {settings['shots']} shots"
    print_table(
        f"{settings['task']} on {settings['encoder']}{shots}: test, {seeds} "
        f"seed{'s' if seeds > 1 else ''}, learning rate {results['learning_rate']:g}",
        ["measure", "part", "mean", "95 % interval", "chance"],
        rows(results),
    )
    if len(results["valid"]) > 1:
        print_table(
            "learning rates on valid",
            ["learning rate", MEASURES[_monitor(results)]],
            [[rate, value] for rate, value in results["valid"].items()],
        )
    print(f"results      {folder / 'results.json'}")
    print(f"answers      {folder / 'heads'}/*/test.tsv")
    print(f"TensorBoard  tensorboard --logdir {folder / 'tensorboard'}")


def rows(results):
    """Rows of the table.

    Args:
        results: dict, as for `print_results`.

    Returns:
        List of `[measure, part, mean, interval, chance]`; a dash where there is no value.
    """
    found = []
    for part, measures in results["test"].items():
        for name, value in measures.items():
            interval = value["interval"]
            chance = results["chance"][name] if part == "all" else "-"
            half_width = "-" if interval is None else f"± {interval:.3f}"
            cells = [value["mean"], half_width, chance]
            # Without a slot in any reference there is no error rate.
            found.append([MEASURES[name], part, *("-" if c is None else c for c in cells)])
    return found


def _monitor(results):
    return next(iter(results["test"]["all"]))
