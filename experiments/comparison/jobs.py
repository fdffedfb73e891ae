"""The two kinds of job of a comparison: a distillation, and the heads of one task."""

import dataclasses
import pathlib
import shutil

import keras

from experiments.comparison.configuration import UNDISTILLED
from experiments.distillation.configuration import Configuration
from experiments.distillation.run import distill
from experiments.results import decisive, plain, write_json
from experiments.understanding.configuration import Understanding, with_defaults
from experiments.understanding.run import DivergedError, remove_frames, understand
from pad_keras.callbacks.best_student import NoStudentError
from pad_keras.models.reading import read_json

# What tells which student all distillations of a folder started from.
STUDENT_NOTE = pathlib.PurePath("distil", "student.json")
# Where students lie in a comparison's folder.
_STUDENTS = (("distil",), (UNDISTILLED,))


@dataclasses.dataclass(frozen=True)
class Distillation:
    """One distillation.

    Args:
        configuration: `Configuration`.
    """

    configuration: Configuration

    @property
    def folder(self):
        """Where its results are."""
        return self.configuration.folder

    @property
    def student(self):
        """Path of the distilled student."""
        return self.folder / "student"

    def read(self):
        """The results, if the job is done.

        Returns:
            Dict, as `distill` gives it, or `{"diverged": True}` with the configuration; `None` if
            the job is not done.

        Raises:
            ValueError: if the folder holds a distillation of another configuration.
        """
        results = _read(self.folder)
        if results is None:
            return None
        configuration = plain(self.configuration.resolved())
        kept = _moved(results["configuration"], configuration["out"])
        free = (*Configuration.FREE, *_strict("data.on_error", kept["data"]))
        was, now = (decisive(one, free) for one in (kept, configuration))
        differing = [
            f"{name}: {was.get(name)!r} -> {now.get(name)!r}"
            for name in sorted(was.keys() | now.keys())
            if was.get(name) != now.get(name)
        ]
        if differing:
            raise ValueError(
                f"{self.folder} holds a distillation of another configuration "
                f"({', '.join(differing)}). Give another --out, or remove the folder."
            )
        return results

    def run(self):
        """Distil, or go on where a killed run stopped; what is needed for that goes then."""
        try:
            distill(self.configuration)
        except NoStudentError:
            # After no epoch the validation loss was a number.
            write_json(
                self.folder / "results.json",
                {"configuration": self.configuration.resolved(), "diverged": True},
            )
        # Optimizer states and units of dozens of runs would fill the disk.
        for name in ("state", "teacher_units"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class HeadsOfTask:
    """The heads of one task on one encoder: all learning rates and seeds.

    Args:
        settings: `Understanding`.
        keep_hidden_states: bool, whether the encoder's frames stay on disk.
    """

    settings: Understanding
    keep_hidden_states: bool = False

    @property
    def folder(self):
        """Where the results are."""
        return self.settings.folder

    def read(self):
        """The results, if the job is done.

        Returns:
            Dict, as `understand` gives it, or `{"diverged": True}` with the configuration; `None`
            if the job is not done, or seeds or learning rates are missing.
        """
        results = _read(self.folder)
        if results is None:
            return None
        # `understand` adds what is missing, and refuses what does not fit.
        settings = plain(self.settings)
        kept = _moved(with_defaults(results["configuration"]), settings["out"])
        free = (*Understanding.FREE, *_strict("on_error", kept))
        was, now = (decisive(one, free) for one in (kept, settings))
        return results if was == now else None

    def run(self):
        """Train and test the heads, or go on where a killed run stopped."""
        try:
            understand(self.settings)
        except DivergedError:
            write_json(
                self.folder / "results.json", {"configuration": self.settings, "diverged": True}
            )
        if not self.keep_hidden_states:
            # Means over frames are small, and other heads on this encoder take them.
            remove_frames(self.settings)


def run_job(job):
    """Run a job and free what its models held.

    Args:
        job: `Distillation` or `HeadsOfTask`.
    """
    job.run()
    keras.utils.clear_session()


def _moved(configuration, out):
    """A kept configuration with its paths as they are after the comparison's folder has moved.

    Args:
        configuration: nest of dicts, of a job.
        out: str, the jobs' folder now, which lies in the comparison's as it did then.

    Returns:
        Nest of dicts.
    """
    then, now = (pathlib.Path(folder).parent for folder in (configuration["out"], out))

    def moved(value):
        if not (isinstance(value, str) and pathlib.Path(value).is_relative_to(then)):
            return value
        relative = pathlib.Path(value).relative_to(then)
        # Where the folder was the working directory, names and other paths would seem to be in it.
        return str(now / relative) if relative.parts[:1] in _STUDENTS else value

    return keras.tree.map_structure(moved, configuration)


def _strict(name, kept):
    """A job that is done, and would have stopped at what is broken, met nothing to leave out."""
    return (name,) if kept.get("on_error", "raise") == "raise" else ()


def _read(folder):
    path = folder / "results.json"
    return read_json(path) if path.is_file() else None
