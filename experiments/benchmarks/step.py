"""What a distillation step is made of: input, teacher, student, loss, optimizer.

    python -m experiments.benchmarks.step                    # PAD-SLocal, the embedded default
    python -m experiments.benchmarks.step --method joint --no-cache-frames
    python -m experiments.benchmarks.step --preset base      # wav2vec2-base, random weights
    python -m experiments.benchmarks.step --tiny             # try it out in a minute

Each part runs by itself on the same batch, in turn with the whole step, and is told as a share of
it. They need not come to one: the whole is compiled together. The input is the mean over an epoch
of reading batches with nothing else to do; in training it is read beside the step. The teacher
costs nothing once its units are cached, which is the default, so it is no part of the step here.
"""

import dataclasses
import itertools
import pathlib
import tempfile
from typing import Literal

import keras
import numpy as np
import tyro

from experiments.backends import resolve_jit
from experiments.benchmarks import computations, measure
from experiments.command_line import explained_errors
from experiments.distillation.corpora import read_corpora
from experiments.distillation.methods import METHODS, configurations
from experiments.distillation.parts import (
    build_distiller,
    build_teacher,
    compile_distiller,
    frame_cache,
)
from experiments.students import PRETRAINED
from pad_keras import data

WHOLE, STUDENT, LOSS, OPTIMIZER = "whole step", "student", "loss", "optimizer"
TEACHER, INPUT = "teacher, not cached", "input"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is distilled, and how often each part runs."""

    method: Literal[tuple(METHODS)] = "pad-slocal"
    """The losses; see experiments.distill."""
    preset: str = PRETRAINED
    """The student."""
    batch_size: int = 8
    """Utterances of a step."""
    cache_frames: bool = True
    """Whether the frames of the frozen front end are cached."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy of the student."""
    rounds: int = 10
    """Times that each part runs."""
    threads: int | None = None
    """Threads; None leaves them to the libraries."""
    jit_compile: bool | None = None
    """By XLA; None does so on JAX, and on TensorFlow where there is a GPU."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A few utterances and rounds."""

    def configuration(self, out):
        """What experiments.distill would be told.

        Args:
            out: path, for caches.

        Returns:
            `Configuration`.
        """
        base = configurations()[self.method][1]
        training = dataclasses.replace(
            base.training,
            batch_size=self.batch_size,
            cache_frames=self.cache_frames,
            precision=self.precision,
            jit_compile=self.jit_compile,
        )
        student = dataclasses.replace(base.student, preset=self.preset)
        return dataclasses.replace(
            base, training=training, student=student, out=out, tiny=self.tiny
        ).resolved()


def parts(configuration, folder):
    """The parts of a step as functions without arguments.

    Args:
        configuration: `Configuration`.
        folder: path, for caches.

    Returns:
        Tuple of dict from name to function, and the number of batches that one call of the input
        reads.
    """
    train = read_corpora(configuration.data)["train"]
    teacher = build_teacher(configuration, train)
    distiller = build_distiller(configuration, teacher)
    units = data.TeacherCache.build(teacher, train, folder / "units")
    frames = frame_cache(configuration, distiller.student, {"train": train})
    size = configuration.training.batch_size
    steps = data.batches_per_epoch(train, size)
    compile_distiller(distiller, configuration.training, steps)
    batches = data.pipeline(train, size, text=units, states=frames, shuffle=True)
    batch = _longest(batches)
    tokenizer = data.TextTokenizer.for_utterances(teacher.tokenizer, train)
    text = _longest(data.pipeline(train, size, text=tokenizer, states=frames))["text"]
    jit_compile = configuration.training.jit_compile
    found = {
        WHOLE: lambda: distiller.train_on_batch(batch),
        STUDENT: computations.forward_backward(distiller, batch, "embeddings", jit_compile),
        LOSS: _loss(distiller, batch, jit_compile),
        OPTIMIZER: _updates(distiller),
        TEACHER: _teacher(teacher, text, jit_compile),
        INPUT: lambda: sum(1 for _ in batches),
    }
    return found, steps


def _longest(batches):
    """The batch with the most frames, as NumPy."""
    return max(batches.as_numpy_iterator(), key=lambda b: next(iter(b["speech"].values())).size)


def _loss(distiller, batch, jit_compile):
    """Forward and backward pass of the losses, to the student's embeddings."""
    student = measure.finished(distiller(batch))
    teacher = distiller.teacher_units(batch)
    weighted = list(
        zip(distiller.distillation_losses, distiller.distillation_loss_weights, strict=True)
    )

    def total(embeddings):
        units = {**student, "embeddings": embeddings}
        return sum(weight * loss.compute_loss(teacher, units) for loss, weight in weighted)

    return computations.gradient(total, student["embeddings"], jit_compile)


def _updates(distiller):
    """One update of all weights, by gradients of their own size."""
    optimizer, weights = distiller.optimizer, distiller.trainable_variables
    optimizer.build(weights)
    gradients = [keras.ops.full(w.shape, 1e-3, w.dtype) for w in weights]
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        update = jax.jit(optimizer.stateless_apply)
        # Copies: a training step in between gives away the arrays that were there.
        state = [jax.numpy.copy(v.value) for v in optimizer.variables]
        values = [jax.numpy.copy(w.value) for w in weights]
        return lambda: jax.block_until_ready(update(state, gradients, values))

    def update():
        optimizer.apply(gradients, weights)

    if backend == "tensorflow":
        import tensorflow as tf

        update = tf.function(update)

    def run_update():
        update()
        return measure.finished(weights[0].value)

    return run_update


def _teacher(teacher, text, jit_compile):
    """The teacher's forward pass."""
    teacher.compile(jit_compile=resolve_jit(jit_compile))
    return lambda: teacher.predict_on_batch(text)


def main(settings):
    """Measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.
    """
    if settings.tiny:
        settings = dataclasses.replace(settings, rounds=2)
    measure.limit_threads(settings.threads)
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        candidates, batches = parts(settings.configuration(folder), folder)
        seconds = measure.in_turn(candidates, settings.rounds)
    seconds[INPUT] = [value / batches for value in seconds[INPUT]]
    rows = [
        [name, measure.ratio(values, seconds[WHOLE])]
        for name, values in itertools.islice(seconds.items(), 1, None)
    ]
    measure.report(
        f"step-{settings.method}",
        settings,
        f"A step of {settings.method} on {keras.backend.backend()}",
        ["part", "of the whole step"],
        rows,
        {"seconds": seconds, "step": float(np.median(seconds[WHOLE]))},
        settings.out,
    )
    return rows


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
