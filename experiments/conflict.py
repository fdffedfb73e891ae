"""Do two alignment losses pull a student the same way?

    python -m experiments.conflict                                     # the shipped encoders
    python -m experiments.conflict --students runs/joint/student --methods mean-l1 pad-slocal
    python -m experiments.conflict --tiny                              # a few utterances

Global and local alignment may want different things of the same frames, a question that the paper
leaves open. Here both losses' gradients are taken at a student's weights (but those of its front
end, which is frozen) on batches of speech that it has not heard, without dropout:

- together: cosine of the two gradients of a batch, mean over batches, and the lowest: below 0 a
  step along one raises the other;
- each apart: cosine of one loss's gradients of two batches, which says what such a number is worth;
- the norms of both gradients, which say who leads where they are added.

Writes OUT/conflict.json. It takes a minute an encoder of the mini size.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import dataclasses
import pathlib

import keras
import numpy as np
import tyro
from keras import tree

from experiments.checks import check_at_least_one
from experiments.command_line import explained_errors
from experiments.distillation.configuration import EMBEDDED_CORPUS
from experiments.distillation.methods import METHODS
from experiments.results import corpus_hash, plain, print_table, versions, write_json
from experiments.students import DISTILLED, PRETRAINED
from pad_keras import data, models

_TINY_UTTERANCES = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """Whose gradients are compared, on what."""

    students: tuple[str, ...] = (PRETRAINED, DISTILLED)
    """Presets of speech encoders, as wide as the teacher."""
    methods: tuple[str, str] = ("pad-glob", "pad-slocal")
    """Methods of distillation, whose losses are compared."""
    teacher: str = "minilm"
    """Preset of the text encoder."""
    root: pathlib.Path = EMBEDDED_CORPUS
    """A corpus in LibriSpeech's layout."""
    subset: str = "valid"
    """Its part."""
    batch_size: int = 8
    """Utterances of a gradient; there must be two batches at least."""
    out: pathlib.Path = pathlib.Path("runs/conflict")
    """Where conflict.json goes."""
    tiny: bool = False
    """A few utterances."""

    def __post_init__(self):
        """Check the names of the methods."""
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise ValueError(f"`methods` has {unknown}; there are {sorted(METHODS)}.")
        if not self.students:
            raise ValueError("`students` is empty; name a preset at least.")
        check_at_least_one(self, "batch_size")

    def resolved(self):
        """The settings that are run: themselves, or their tiny form.

        Returns:
            `Settings`.
        """
        batch_size = min(self.batch_size, _TINY_UTTERANCES // 2)
        return dataclasses.replace(self, batch_size=batch_size) if self.tiny else self


def main(settings):
    """Measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        Dict, the contents of `conflict.json`.

    Raises:
        ValueError: if there are fewer than two batches, or a student is not as wide as the teacher.
    """
    settings = settings.resolved()
    utterances = data.librispeech(settings.root, None, subsets=[settings.subset])
    utterances = utterances[: _TINY_UTTERANCES if settings.tiny else None]
    if len(utterances) < 2 * settings.batch_size:
        raise ValueError(
            f"{settings.root} has {len(utterances)} utterances of {settings.subset!r}, and two "
            f"batches of {settings.batch_size} are needed; lower `batch_size`."
        )
    teacher = models.TextTeacher.from_preset(settings.teacher)
    # For losses that weight by it.
    teacher.adapt_idf([utterance.text for utterance in utterances])
    students = {
        plain(name): measure(name, teacher, utterances, settings) for name in settings.students
    }
    results = {
        "configuration": settings,
        "versions": versions(),
        "corpus": corpus_hash(utterances),
        "students": students,
    }
    write_json(settings.out / "conflict.json", results)
    columns = list(next(iter(students.values())))
    print_table(
        f"gradients of {' and '.join(settings.methods)}",
        ["encoder", *columns],
        [[name, *row.values()] for name, row in students.items()],
    )
    return results


def measure(preset, teacher, utterances, settings):
    """How alike the gradients of two losses are at a student's weights.

    Args:
        preset: str, the student.
        teacher: `TextTeacher`.
        utterances: list of `Utterance`.
        settings: `Settings`.

    Returns:
        Dict of float.

    Raises:
        ValueError: if the student is not as wide as the teacher.
    """
    keras.utils.set_random_seed(0)
    student = models.Wav2Vec2Backbone.from_preset(preset, freeze_feature_encoder=True)
    if student.hidden_dim != teacher.hidden_dim:
        raise ValueError(
            f"The student {preset!r} has width {student.hidden_dim}, the teacher "
            f"{teacher.hidden_dim}: there would be a projection with random weights between them."
        )
    distillers = [
        models.AlignmentDistiller(
            teacher, student, METHODS[method][1].build(), list(METHODS[method][1].weights)
        )
        for method in settings.methods
    ]
    tokenizer = data.TextTokenizer.for_utterances(teacher.tokenizer, utterances)
    whole = utterances[: len(utterances) // settings.batch_size * settings.batch_size]
    batches = data.pipeline(whole, settings.batch_size, text=tokenizer)
    found = [[gradient(distiller, batch) for distiller in distillers] for batch in batches]
    one, other = zip(*found, strict=True)
    together = [cosine(*pair) for pair in found]
    names = settings.methods
    return {
        "together": float(np.mean(together)),
        "lowest": min(together),
        # Neighbours among the batches have utterances of like length.
        f"{names[0]} apart": _mean_of_neighbours(one),
        f"{names[1]} apart": _mean_of_neighbours(other),
        f"norm of {names[0]}": float(np.mean([np.linalg.norm(x) for x in one])),
        f"norm of {names[1]}": float(np.mean([np.linalg.norm(x) for x in other])),
    }


def cosine(one, other):
    """Cosine of two gradients.

    Args:
        one: `[weights]` array.
        other: `[weights]` array.

    Returns:
        float; NaN where one is zero.
    """
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norms) if norms else float("nan")


def _mean_of_neighbours(gradients):
    return float(np.mean([cosine(*pair) for pair in zip(gradients, gradients[1:], strict=False)]))


def gradient(distiller, batch):
    """Gradient of a distiller's loss by the student's weights that are trained, without dropout.

    Args:
        distiller: `AlignmentDistiller`.
        batch: dict, as `pad_keras.data.pipeline` gives it.

    Returns:
        `[weights]` float64 array, all in one; 0 where the loss does not depend on a weight.
    """
    batch = tree.map_structure(keras.ops.convert_to_tensor, batch)
    variables = distiller.student.trainable_variables

    def loss():
        return distiller.compute_loss(batch, training=False)

    if keras.backend.backend() == "jax":
        import jax

        def loss_at(values):
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return loss()

        found = jax.grad(loss_at)([variable.value for variable in variables])
    elif keras.backend.backend() == "torch":
        import torch

        found = torch.autograd.grad(loss(), [v.value for v in variables], allow_unused=True)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, [v.value for v in variables])
        found = [None if one is None else tf.convert_to_tensor(one) for one in found]
    return np.concatenate(
        [
            np.zeros(np.prod(variable.shape, dtype=int))
            if one is None
            else np.ravel(keras.ops.convert_to_numpy(one)).astype("float64")
            for variable, one in zip(variables, found, strict=True)
        ]
    )


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
