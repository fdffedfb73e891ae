"""From a comparison to its tables and figures: what table 1 and the ablations share."""

from experiments.comparison.figures import write_figures
from experiments.comparison.grid import Grid
from experiments.comparison.publish import publish
from experiments.comparison.report import markdown, print_tables, tables
from experiments.comparison.run import announce, prepare_student, run_grid
from experiments.comparison.summary import summarise
from experiments.results import plain, write_json
from pad_keras.files import write_atomically


def compare(comparison, name, pairs, groups):
    """Run what is not done of a comparison, then print, write and draw what is.

    Writes, into `comparison.folder`: `<name>.json`, `<name>.md`, pictures of each group as PNG and
    in `tensorboard`; beside them `distil` and `heads` hold each job's results.

    Args:
        comparison: `Comparison`.
        name: str, of the files.
        pairs: sequence of `(name, baseline)`, the encoders to compare pairwise.
        groups: dict from a group's file name to `(title, names)`: the encoders that a table and a
            figure show, all if `names` is `None`.

    Returns:
        Dict, the contents of `<name>.json`.

    Raises:
        ValueError: if the folder holds a run with another student or another configuration.
    """
    prepare_student(comparison)
    grid = Grid(comparison)
    announce(grid)
    if not comparison.report_only:
        run_grid(grid)
    summary = summarise(grid, pairs)
    folder = comparison.folder
    write_json(folder / f"{name}.json", summary)
    texts, pictures = [], []
    for group, (title, names) in groups.items():
        found = tables(summary, title, names)
        print_tables(found)
        texts.append(markdown(found))
        pictures += write_figures(summary, folder, group, names)
    write_atomically(folder / f"{name}.md", "\n".join(texts))
    print(f"results      {folder / f'{name}.json'}, {folder / f'{name}.md'}")
    for picture in pictures:
        print(f"picture      {picture}")
    print(f"TensorBoard  tensorboard --logdir {folder}")
    if comparison.publish is not None:
        files = [folder / f"{name}.json", folder / f"{name}.md", *pictures]
        count = publish(grid, files, comparison.publish)
        print(f"published    {count} jobs in {comparison.publish}")
    return plain(summary)
