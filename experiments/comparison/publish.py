"""The results of a comparison without its models: small enough to be kept beside the code."""

import pathlib
import shutil

from experiments.comparison.jobs import STUDENT_NOTE, Distillation
from experiments.results import write_json


def publish(grid, tables, folder):
    """Write tables, pictures, and the results of each job that is done, under the same paths.

    Copied back into a comparison's folder they count as done there: a comparison that was begun on
    one machine goes on on another one. Weights, logs and the histories of heads are left out.

    Args:
        grid: `experiments.comparison.grid.Grid`.
        tables: sequence of paths, files that are copied as they are.
        folder: path; created if need be.

    Returns:
        int, the number of jobs.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        shutil.copyfile(table, folder / pathlib.Path(table).name)
    if (student := grid.comparison.folder / STUDENT_NOTE).is_file():
        (folder / STUDENT_NOTE).parent.mkdir(exist_ok=True)
        shutil.copyfile(student, folder / STUDENT_NOTE)
    count = 0
    for job in grid.jobs():
        results = grid.result(job)
        if results is None:
            continue
        if not isinstance(job, Distillation):
            heads = results.get("heads", {})
            results = {**results, "heads": {name: _slim(head) for name, head in heads.items()}}
        path = folder / job.folder.relative_to(grid.comparison.folder)
        write_json(path / "results.json", results)
        count += 1
    return count


def _slim(head):
    return {key: value for key, value in head.items() if key != "history"}
