"""Running what of a grid is not done yet."""

import time

from experiments.backends import keep_compilations
from experiments.comparison.jobs import STUDENT_NOTE, Distillation, run_job
from experiments.locks import BusyError, alone_in, one_after_another
from experiments.results import write_json
from experiments.students import save_undistilled
from pad_keras import models
from pad_keras.data.fingerprints import weights_hash
from pad_keras.models.reading import read_json

_SECONDS_BETWEEN_LOOKS = 10


def prepare_student(comparison):
    """Keep the student as it is before any distillation; all distillations start from it.

    What JAX compiles from here on is kept too.

    Args:
        comparison: `Comparison`.

    Raises:
        ValueError: if the folder's distillations started from another student.
    """
    if not comparison.report_only:
        keep_compilations(comparison.folder / "compilations")
    if comparison.undistilled.is_dir() or not comparison.report_only:
        # A lock of its own: that of the student's folder is held while heads are trained on it.
        with one_after_another(comparison.folder / "student.txt"):
            save_undistilled(
                comparison.student.preset, comparison.undistilled, comparison.adapt_student
            )
            _check_same_student(comparison)


def _check_same_student(comparison):
    """Refuse results of another student, which may have been copied from another machine."""
    if not comparison.undistilled.is_dir():
        return
    student = models.Wav2Vec2Backbone.from_preset(str(comparison.undistilled))
    now = {"weights": weights_hash(student)}
    path = comparison.folder / STUDENT_NOTE
    if not path.is_file():
        write_json(path, now)
    elif read_json(path) != now:
        raise ValueError(
            f"{comparison.folder} holds distillations of another student than "
            f"{comparison.student.preset!r}: {path} tells of other weights. Give another --out, "
            "or --student.preset."
        )


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

    Several processes may do so at once: each takes the first unit that is left and free, and waits
    while others are at work on all that is left, in case they stop before they are done.

    Args:
        grid: `Grid`.

    Raises:
        ValueError: if the folder holds a run of another configuration.
    """
    told = None
    while todo := [unit for unit in grid.units() if unfinished(grid, unit)]:
        # Up to the first that was free; then anew, as other processes have gone on meanwhile.
        if any(_run_unit(grid, unit) for unit in todo):
            continue
        names = ", ".join(unit.name for unit in todo)
        if names != told:
            print(f"\nwaiting for other processes, which are at work on {names}", flush=True)
            told = names
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def unfinished(grid, unit):
    """The jobs of a unit that are not done.

    Args:
        grid: `Grid`.
        unit: `Unit`.

    Returns:
        List of `Distillation` and `HeadsOfTask`.
    """
    return [job for job in grid.jobs_of(unit) if grid.result(job) is None]


def _run_unit(grid, unit):
    """Run what is left of a unit, if it is known and no other process is at it.

    Returns:
        bool, whether it was free.
    """
    if grid.waits(unit):
        return False
    try:
        with alone_in(grid.comparison.folder / unit.name):
            while todo := unfinished(grid, unit):
                _run(grid, grid.lost_distillation(todo[0]) or todo[0])
    except BusyError:
        return False
    return True


def _run(grid, job):
    jobs = grid.jobs()
    done = sum(grid.result(one) is not None for one in jobs)
    print(f"\njob {done + 1} of {len(jobs)}: {job.folder}")
    start = time.monotonic()
    run_job(job)
    if grid.result(job) is None:
        raise RuntimeError(f"The job {job.folder} left no results that fit; see above.")
    print(f"took {(time.monotonic() - start) / 60:.1f} minutes")
