"""Typed configuration of a comparison: what is distilled, how often, and how it is judged."""

import dataclasses
import functools
import pathlib
from typing import Literal

from experiments.checks import check_at_least_one, check_positive
from experiments.distillation.configuration import (
    Configuration,
    Data,
    Objective,
    Student,
    Teacher,
    Training,
)
from experiments.distillation.corpora import read_corpora
from experiments.understanding.configuration import LOG_MEL, TEXT, Understanding
from pad_keras.data import total_hours

UNDISTILLED, FLOOR, TOPLINE = "undistilled", LOG_MEL, TEXT


@dataclasses.dataclass(frozen=True)
class Heads:
    """The heads of one task, alike for every encoder."""

    learning_rates: tuple[float, ...] = ()
    """The budget of the search; the best on valid is tested. Empty takes the recipe's."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of head, order of batches and few-shot subset."""
    updates: int | None = None
    """In place of the recipe's."""
    data: pathlib.Path | None = None
    """Folder of the corpus; None takes the embedded one."""
    normalize_states: bool = False
    """Give each frame of each layer zero mean and unit variance before the layers are weighed, see
    experiments.slu."""
    layers: tuple[int, ...] = ()
    """Hidden states that the heads weigh; empty takes all, see experiments.slu."""
    cache: bool = True
    """Keep hidden states on disk while heads are trained on them; else the encoder runs in each
    step."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a broken file or line of the corpus does: stop, or be left out and listed."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to distil, but for seed and learning rate.

    Args:
        name: str.
        description: str.
        objective: `Objective`.
        teacher: dict of changes to `Teacher`.
        student: dict of changes to `Student`.
        hours_share: float, share of the hours that are distilled on; epochs grow as it shrinks, so
            that the number of updates stays.
    """

    name: str
    description: str
    objective: Objective
    teacher: dict = dataclasses.field(default_factory=dict)
    student: dict = dataclasses.field(default_factory=dict)
    hours_share: float = 1.0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What all methods of a comparison share."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Of distillation: projection, dropout, order of batches. Work goes seed by seed; from three
    on, tables have intervals."""
    learning_rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3)
    """Budget of the search of each method's learning rate, which takes the first seed."""
    select_by: Literal["ic", "retrieval"] = "ic"
    """What chooses a method's learning rate, on valid: accuracy of intent heads (ic), or the mean
    of recall@1 and recall@10 of text-to-speech retrieval (retrieval)."""
    tasks: tuple[Literal["ic", "sf", "er"], ...] = ("ic", "sf", "er")
    """Intent classification, slot filling, emotion recognition."""
    ic: Heads = Heads((5e-4, 2e-3))
    """Heads of intent classification."""
    sf: Heads = Heads((1e-3, 3e-3))
    """Heads of slot filling."""
    er: Heads = Heads((5e-4, 2e-3))
    """Heads of emotion recognition."""
    shots: tuple[int, ...] = (2, 5)
    """Training utterances of each intent, beside all of them (12 or 13 in the embedded corpus)."""
    references: tuple[Literal["log-mel", "text"], ...] = (FLOOR, TOPLINE)
    """Encoders that bound the table: log-mel, the floor, and text, the topline."""
    recipe: Literal["short", "superb"] = "short"
    """Of the heads; superb wants a GPU."""
    data: Data = Data()
    """Paired speech and text that is distilled on."""
    student: Student = Student()
    teacher: Teacher = Teacher()
    epochs: int = 10
    """Of each distillation."""
    batch_size: int = 8
    """Utterances of a step of distillation."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy of the student while it is distilled."""
    buckets: int = 12
    """Lengths that batches of distillation are padded to, see experiments.distill; fewer where
    compiling takes longest."""
    pictures: int = 4
    """Validation utterances whose alignment TensorBoard shows; 0 saves their time."""
    out: pathlib.Path = pathlib.Path("runs/comparison")
    """Everything goes here; what is done there already is not done again. Comparisons that share
    the folder share their distillations and heads."""
    keep_hidden_states: bool = False
    """Keep the frames that slot fillers train on; they take the most disk."""
    publish: pathlib.Path | None = None
    """Copy tables, pictures and the results of all jobs, without models, here when all is done or
    reported. Copied into OUT of another machine, what is done there counts as done."""
    report_only: bool = False
    """Train nothing; print the table of what is done."""
    tiny: bool = False
    """Try everything out in a minute or two: two variants, one seed, a few utterances."""

    def __post_init__(self):
        """Check what would otherwise fail, or mislead, only after a long run."""
        for name in ("seeds", "learning_rates", "tasks"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(
                    f"`{name}` must be different values, at least one, got {values!r}."
                )
        for name in ("shots", "references"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"`{name}` must be different values, got {values!r}.")
        check_positive(self, "learning_rates")
        check_at_least_one(self, "epochs", "batch_size")
        if self.searches and self.select_by == "ic" and "ic" not in self.tasks:
            raise ValueError(
                f"`select_by` 'ic' needs 'ic' among `tasks`, got {self.tasks!r}; add it, choose "
                "'retrieval', or give a single learning rate."
            )
        if self.shots and "ic" not in self.tasks:
            raise ValueError(f"`shots` {self.shots!r} need 'ic' among `tasks`, got {self.tasks!r}.")
        for task, shots in [*((t, None) for t in self.tasks), *(("ic", k) for k in self.shots)]:
            try:
                self.heads(task, self.student.preset, UNDISTILLED, shots)
            except ValueError as error:
                raise ValueError(f"`{task}`: {error}") from error

    @property
    def searches(self):
        """Whether there is more than one learning rate to choose from."""
        return len(self.learning_rates) > 1

    @property
    def folder(self):
        """Where the comparison writes."""
        return self.out / "tiny" if self.tiny else self.out

    @property
    def undistilled(self):
        """Path of the student as it is before any distillation."""
        return self.folder / UNDISTILLED

    def adapt_student(self, student):
        """The student that is kept of the one that was loaded, both `Wav2Vec2Backbone`."""
        return student

    def resolved(self):
        """The comparison that is run: itself, or its tiny form.

        Returns:
            The same class.
        """
        if not self.tiny:
            return self
        one_head = {
            task: dataclasses.replace(heads, seeds=heads.seeds[:1], learning_rates=())
            for task, heads in (("ic", self.ic), ("sf", self.sf), ("er", self.er))
        }
        return dataclasses.replace(
            self,
            seeds=self.seeds[:1],
            learning_rates=self.learning_rates[:1],
            shots=self.shots[:1],
            **one_head,
        )

    def variants(self):
        """What is compared.

        Returns:
            List of `Variant`.
        """
        raise NotImplementedError

    def distillation(self, variant, learning_rate, seed):
        """The distillation of a variant.

        Args:
            variant: `Variant`.
            learning_rate: float.
            seed: int.

        Returns:
            `experiments.distillation.configuration.Configuration`.
        """
        share = variant.hours_share
        data, epochs = self.data, self.epochs
        if share != 1:
            data = dataclasses.replace(data, hours=training_hours(data) * share)
            epochs = round(epochs / share)
        return Configuration(
            name=f"{variant.name}-lr-{learning_rate:g}-seed-{seed}",
            data=data,
            objective=variant.objective,
            teacher=dataclasses.replace(self.teacher, **variant.teacher),
            student=dataclasses.replace(
                self.student, preset=str(self.undistilled), **variant.student
            ),
            training=Training(
                epochs=epochs,
                batch_size=self.batch_size,
                learning_rate=learning_rate,
                precision=self.precision,
                buckets=self.buckets,
                seed=seed,
            ),
            pictures=self.pictures,
            out=self.folder / "distil",
            tiny=self.tiny,
        )

    def heads(self, task, encoder, name, shots=None):
        """The heads of a task on an encoder.

        Args:
            task: `"ic"`, `"sf"` or `"er"`.
            encoder: str, as `Understanding` takes it.
            name: str, how the encoder is called.
            shots: int, or `None` for all training utterances.

        Returns:
            `Understanding`.
        """
        heads = getattr(self, task)
        shot = "" if shots is None else f"-{shots}-shot"
        return Understanding(
            task,
            encoder=encoder,
            data=heads.data,
            recipe=self.recipe,
            learning_rates=heads.learning_rates,
            seeds=heads.seeds,
            shots=shots,
            updates=heads.updates,
            normalize_states=heads.normalize_states,
            layers=heads.layers,
            on_error=heads.on_error,
            # Transcripts' states are small, and a text encoder cannot do without.
            cache=heads.cache or encoder.split(":")[0] == TEXT,
            # There are hundreds of heads, and pictures take longer than small heads.
            pictures=False,
            out=self.folder / "heads",
            name=f"{task}-{name}{shot}",
            tiny=self.tiny,
        )


@functools.cache
def training_hours(data):
    """Hours that are distilled on.

    Args:
        data: `Data`.

    Returns:
        float.
    """
    return total_hours(read_corpora(data)["train"])
