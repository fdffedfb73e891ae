"""The report of a distillation run in the terminal."""

from experiments.results import print_table

# name in the logs: how the table calls it
_MEASURES = {
    "loss": "alignment loss",
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
    "word_overlap": "word overlap",
}


def print_report(results, folder):
    """Print the measures before and after distillation, and where everything is.

    Args:
        results: dict, as `experiments.distillation.run.distill` returns it.
        folder: path of the run.
    """
    print_table(
        f"{results['configuration']['name']}: unseen speakers, best epoch "
        f"{results['best_epoch'] + 1} of {results['configuration']['training']['epochs']}",
        ["measure", "before", "after", "chance", "after, test"],
        comparison(results),
    )
    print(f"student      {folder / 'student'}")
    picture = folder / "alignment.png"
    if picture.is_file():
        print(f"picture      {picture}")
    print(f"results      {folder / 'results.json'}")
    print(f"TensorBoard  tensorboard --logdir {folder / 'tensorboard'}")


def comparison(results):
    """Rows of the table.

    Args:
        results: dict, as for `print_report`.

    Returns:
        List of `[measure, before, after, chance, test]`; a dash where there is no value.
    """
    history = {entry["epoch"]: entry for entry in results["history"]}
    before, after = history[-1], history[results["best_epoch"]]
    test = results["test"] or {}
    utterances = results["utterances"]["valid"]
    chances = {
        "recall_at_1": min(1.0, 1 / utterances),
        "recall_at_10": min(1.0, 10 / utterances),
        "word_overlap": after.get("val_word_overlap_chance"),
    }
    rows = []
    for name, label in _MEASURES.items():
        if f"val_{name}" in after:
            values = before[f"val_{name}"], after[f"val_{name}"], chances.get(name), test.get(name)
            rows.append([label, *("-" if value is None else value for value in values)])
    return rows
