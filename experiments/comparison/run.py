"""Running what of a grid is not done yet."""

import time

from experiments.comparison.jobs import Distillation, run_job
from experiments.students import save_undistilled


def prepare_student(comparison):
    """Keep the student as it is before any distillation; all distillations start from it.

    Args:
        comparison: `Comparison`.

    Raises:
        ValueError: if the folder's distillations started from another student.
    """
    if comparison.undistilled.is_dir() or not comparison.report_only:
        save_undistilled(comparison.student.preset, comparison.undistilled)


def announce(grid):
    """Print how many jobs a grid has and how many are done.

    Args:
        grid: `Grid`.
    """
    jobs = grid.jobs()
    for title, chosen in (
        ("distillations", [job for job in jobs if isinstance(job, Distillation)]),
        ("sets of heads", [job for job in jobs if not isinstance(job, Distillation)]),
    ):
        done = sum(grid.result(job) is not None for job in chosen)
        print(f"{title}: {len(chosen)}, of which {done} are done")


def run_grid(grid):
    """Run the jobs that are not done, in order; a killed run goes on when it is called again.

    Args:
        grid: `Grid`.

    Raises:
        ValueError: if the folder holds a run of another configuration.
    """
    while True:
        jobs = grid.jobs()
        todo = [job for job in jobs if grid.result(job) is None]
        if not todo:
            return
        job = grid.lost_distillation(todo[0]) or todo[0]
        print(f"\njob {len(jobs) - len(todo) + 1} of {len(jobs)}: {job.folder}")
        start = time.monotonic()
        run_job(job)
        if grid.result(job) is None:
            raise RuntimeError(f"The job {job.folder} left no results that fit; see above.")
        print(f"took {(time.monotonic() - start) / 60:.1f} minutes")
