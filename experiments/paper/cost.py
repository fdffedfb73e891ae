"""What a comparison will cost: counts from its corpora, times from a few steps on this machine."""

import dataclasses
import time

import keras
import numpy as np

from experiments.comparison.jobs import Distillation
from experiments.distillation.parts import (
    build_distiller,
    build_teacher,
    compile_distiller,
    frames_dtype,
)
from experiments.understanding.corpora import read_splits
from experiments.understanding.run import load_encoder
from experiments.understanding.tasks import task_of
from pad_keras import data, models
from pad_keras.models.wav2vec2.convolutions import frame_counts

_STEPS = 3
# Of the batches that are timed: text units and characters of a second of speech.
_UNITS_A_SECOND, _LABELS_A_SECOND = 3, 15
_BYTES_OF_A_WEIGHT = 4


@dataclasses.dataclass(frozen=True)
class Work:
    """One kind of work of a comparison.

    Args:
        name: str.
        times: int, how often it is done.
        amount: float, how much of `unit` each time takes.
        unit: str.
        unit_seconds: float, what one unit takes on this machine.
        kept_bytes: int, what each time leaves on disk.
        passing_bytes: int, what it needs on disk while it runs.
    """

    name: str
    times: int
    amount: float
    unit: str
    unit_seconds: float
    kept_bytes: int = 0
    passing_bytes: int = 0

    @property
    def hours(self):
        """Hours of all times."""
        return self.times * self.amount * self.unit_seconds / 3600


def works(grid, corpora, splits, speeds, sizes):
    """What a grid has still to do.

    Args:
        grid: `experiments.comparison.grid.Grid`.
        corpora: dict from split of the distillation to its hours.
        splits: dict from task to the hours of all its utterances.
        speeds: dict of seconds: `encode` and `distil` of an hour of audio, and of an update of a
            head of each task.
        sizes: dict of bytes: `student`, `frames` of all of the distillation's audio, and hidden
            states of each task's.

    Returns:
        List of `Work`.
    """
    todo = [job for job in grid.jobs() if grid.result(job) is None]
    distillations = [job for job in todo if isinstance(job, Distillation)]
    found = _works_of_distillation(distillations, corpora, speeds, sizes)
    for task in grid.comparison.tasks:
        heads = [
            job.settings
            for job in todo
            if not isinstance(job, Distillation) and job.settings.task == task
        ]
        found += _works_of_heads(task, heads, splits[task], speeds, sizes[task])
    return found


def _works_of_distillation(jobs, corpora, speeds, sizes):
    if not jobs:
        return []
    training = jobs[0].configuration.training
    # The test set is encoded once, at the end.
    evaluated = corpora["valid"] + corpora.get("test", 0.0) / training.epochs
    epoch = corpora["train"] * speeds["distil"] + evaluated * speeds["encode"]
    student = sizes["student"]
    return [
        Work(
            "front end's frames",
            1,
            sum(corpora.values()),
            "h of audio",
            speeds["encode"],
            sizes["frames"],
        ),
        Work(
            "distillations",
            len(jobs),
            training.epochs,
            "epochs",
            epoch,
            student,
            # A checkpoint holds the weights and two moments of each.
            3 * student,
        ),
    ]


def _works_of_heads(task, heads, hours, speeds, size):
    """Work of one task's sets of heads, a list of `Understanding`."""
    found = []
    speech = [one for one in heads if one.text_preset is None]
    encoders = len({one.encoder for one in speech})
    cached = all(one.cache for one in speech)
    if cached and encoders:
        # Means over frames stay; the frames that slot fillers train on go with their encoder.
        kept, passing = (0, size) if task == "sf" else (size, 0)
        name = f"hidden states for {task.upper()}"
        found.append(Work(name, encoders, hours, "h of audio", speeds["encode"], kept, passing))
    updates = sum(len(one.jobs()) * one.resolved_recipe.updates for one in heads)
    if updates:
        name = f"heads of {task.upper()}" + ("" if cached else ", encoder in each step")
        found.append(Work(name, 1, updates, "updates", speeds[task]))
    return found


def rows(found):
    """Rows of a table of costs, the sum last.

    Args:
        found: list of `Work`.

    Returns:
        List of lists.
    """
    told = [
        [
            work.name,
            work.times,
            f"{work.amount:,.{2 if work.amount < 100 else 0}f} {work.unit}",
            f"{work.hours:,.2f}",
            f"{work.times * work.kept_bytes / 1e9:,.2f}",
            f"{work.passing_bytes / 1e9:,.2f}",
        ]
        for work in found
    ]
    hours = sum(work.hours for work in found)
    kept = sum(work.times * work.kept_bytes for work in found)
    passing = max((work.passing_bytes for work in found), default=0)
    return [*told, ["all", "", "", f"{hours:,.2f}", f"{kept / 1e9:,.2f}", f"{passing / 1e9:,.2f}"]]


COLUMNS = ["work", "times", "each", "hours", "GB kept", "GB passing"]


def measure(comparison, configuration, corpora):
    """Time a few steps of each kind on synthetic batches, and size what is written.

    Args:
        comparison: `Comparison`.
        configuration: `Configuration` of one of its distillations.
        corpora: dict from split of the distillation to its list of `Utterance`.

    Returns:
        Tuple `(speeds, sizes, splits)`, as `works` takes them.

    Raises:
        ValueError: if a task's corpus does not fit; see `read_splits`.
    """
    distiller = build_distiller(configuration, build_teacher(configuration, corpora["train"]))
    compile_distiller(distiller, configuration.training, steps_per_epoch=100)
    student = distiller.student
    count, seconds = configuration.training.batch_size, _mean_seconds(corpora["train"])
    speeds = {
        "distil": _seconds_of(distiller, *_distillation_batch(distiller, count, seconds)),
        "encode": _timed(lambda: student.predict_on_batch(_speech(count, seconds))),
    }
    # Of a batch, of an hour.
    speeds = {name: value * 3600 / (count * seconds) for name, value in speeds.items()}
    frames = models.FrontEnd(student.feature_encoder)
    all_utterances = [u for split in corpora.values() for u in split]
    sizes = {
        "student": student.count_params() * _BYTES_OF_A_WEIGHT,
        "frames": data.bytes_needed(
            frames, all_utterances, dtype=frames_dtype(configuration.training.precision)
        ),
    }
    splits = {}
    for task in comparison.tasks:
        settings = comparison.heads(task, str(comparison.undistilled), "cost")
        folds = read_splits(settings)
        utterances = list({u.id: u for one in folds.values() for u in one.all()}.values())
        splits[task] = data.total_hours(utterances)
        encoder = load_encoder(settings)
        head_task = task_of(settings, next(iter(folds.values())))
        sizes[task] = data.bytes_needed(encoder, utterances, head_task.pooled)
        speeds[task] = _update_seconds(settings, encoder, head_task, _mean_seconds(utterances))
    keras.utils.clear_session()
    return speeds, sizes, splits


def _update_seconds(settings, encoder, task, seconds):
    """What an update of a head takes on utterances of some length."""
    recipe = settings.resolved_recipe
    head = task.build(encoder, recipe, fine_tune=False)
    head.compile(models.superb_optimizer(recipe.learning_rate, recipe.accumulation))
    count = recipe.batch_size
    if settings.cache:
        _, layers, _, dim = encoder.output["hidden_states"].shape
        frames = 1 if task.pooled else _frames(encoder, seconds)
        speech = {
            "hidden_states": np.zeros((count, layers, frames, dim), "float32"),
            "mask": np.ones((count, frames), "bool"),
        }
    else:
        speech = _speech(count, seconds)
    if task.pooled:
        targets = {group: np.zeros(count, "int32") for group in task.labels}
    else:
        labels = max(1, int(seconds * _LABELS_A_SECOND))
        targets = {
            "ids": np.ones((count, labels), "int32"),
            "length": np.full(count, labels, "int32"),
        }
    return recipe.accumulation * _seconds_of(head, {"speech": speech}, targets)


def _distillation_batch(distiller, count, seconds):
    student, dim = distiller.student, distiller.teacher.hidden_dim
    frames, tokens = _frames(student, seconds), max(1, int(seconds * _UNITS_A_SECOND))
    units = {
        "embeddings": np.ones((count, tokens, dim), "float32"),
        "significance": np.full((count, tokens), 1 / tokens, "float32"),
        "mask": np.ones((count, tokens), "bool"),
        "cls": np.ones((count, dim), "float32"),
        "idf": np.ones((count, tokens), "float32"),
    }
    speech = {
        "hidden_states": np.zeros((count, 1, frames, student.conv_filters[-1]), "float32"),
        "mask": np.ones((count, frames), "bool"),
    }
    return ({"speech": speech, "text_units": units},)


def _speech(count, seconds):
    samples = int(seconds * data.SAMPLE_RATE)
    noise = np.random.default_rng(0).normal(size=(count, samples)).astype("float32")
    return {"waveform": noise, "padding_mask": np.ones((count, samples), "bool")}


def _frames(encoder, seconds):
    samples = int(seconds * data.SAMPLE_RATE)
    return int(frame_counts(samples, encoder.conv_kernels, encoder.conv_strides))


def _mean_seconds(utterances):
    return data.total_hours(utterances) * 3600 / len(utterances)


def _seconds_of(model, *batch):
    return _timed(lambda: model.train_on_batch(*batch))


def _timed(step):
    # The first compiles.
    step()
    start = time.perf_counter()
    for _ in range(_STEPS):
        step()
    return (time.perf_counter() - start) / _STEPS
