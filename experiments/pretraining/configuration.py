"""Typed configuration of a pretraining run."""

import dataclasses
import math
import pathlib
from typing import ClassVar, Literal

from experiments.backends import check_shareable
from experiments.checks import check_at_least_one, check_positive
from experiments.pretraining.augmentation import Augmentation
from experiments.pretraining.recordings import LEAST_SECONDS

_EMBEDDED = pathlib.Path(__file__).parents[1] / "corpora" / "alignment"
# A frame's cluster is kept in 16 bits.
_MOST_CLUSTERS = 2**15


@dataclasses.dataclass(frozen=True)
class Stage:
    """One round of masked prediction.

    Args:
        index: int, from 0.
        num_clusters: int.
        layer: int, hidden state of the stage before that is clustered; `None` for MFCC.
        steps: int.
    """

    index: int
    num_clusters: int
    layer: int | None
    steps: int

    @property
    def name(self):
        """Of its folders."""
        return f"stage-{self.index}"


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """A pretraining run."""

    audio: tuple[pathlib.Path, ...] = (_EMBEDDED / "train",)
    """Folders (or files) of speech: FLAC, Ogg or WAV, in any layout. No transcript is read."""
    valid: tuple[pathlib.Path, ...] = (_EMBEDDED / "valid",)
    """Folders of speech on which loss and accuracy are measured; other speakers are best."""
    objective: Literal["hubert", "wav2vec2"] = "hubert"
    """hubert: predict the clusters of masked frames; wav2vec2: tell a masked frame's quantized
    features from those of other frames."""
    student: str = "mini"
    """mini, base or large with random weights, or a preset to go on from."""
    clusters: tuple[int, ...] = (100, 250)
    """Clusters of each stage (hubert): of MFCC first, then of hidden states."""
    layers: tuple[int, ...] = (3,)
    """Hidden state that is clustered for each stage but the first (hubert)."""
    steps: tuple[int, ...] = (2_000, 4_000)
    """Updates of each stage (hubert); wav2vec2 takes their sum."""
    batch_seconds: float = 48.0
    """Padded seconds of speech of an update."""
    max_seconds: float = 8.0
    """Longer recordings are cut at random in each pass."""
    learning_rate: float = 1e-3
    """Peak of AdamW's learning rate in each stage: linear warm-up, then a cosine down to 0."""
    warmup_share: float = 0.08
    """Share of a stage's updates that warm up."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Greatest global norm of a gradient."""
    mask_time_prob: float = 0.5
    """Expected share of masked frames."""
    mask_time_length: int = 10
    """Frames of a masked span."""
    unmasked_weight: float = 0.5
    """Weight of the loss of frames that are not masked (hubert); the paper has 0."""
    diversity_weight: float = 1.0
    """Weight of the loss that keeps the codes in use (wav2vec2). The paper has 0.1, with which a
    mini student at 5e-4 used codes worth 27 of 640 after 100 updates, and 340 with 1."""
    dropout: float = 0.05
    """Of the transformer."""
    augmentation: Augmentation = Augmentation()
    augment: bool = True
    """Change speed, add noise and reverberation; targets stay clean."""
    steps_per_epoch: int = 100
    """Updates between two measurements and checkpoints."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy."""
    gradient_checkpointing: bool = False
    """Compute each transformer layer again in the backward pass: less memory for more time."""
    jit_compile: bool | None = None
    """Compile by XLA; None does so on JAX, and on TensorFlow where there is a GPU."""
    devices: int = 1
    """Devices, GPUs where there are any, that share each batch; not on torch. Of
    several processes (see experiments/processes.py), the devices of all. A batch then holds a
    multiple of that many recordings, so a run that goes on with another number goes on with other
    batches."""
    seed: int = 0
    """Of weights, clusters, order and augmentation."""
    out: pathlib.Path = pathlib.Path("runs")
    """The run writes into OUT/NAME. If it holds an unfinished run, that one goes on."""
    name: str = "pretraining"
    """Names the run's folder."""
    tiny: bool = False
    """Try everything out in a minute: a few recordings and updates."""

    # Fields that may differ when a run goes on: they change no number but for rounding, except that
    # another number of devices changes the batches. (`tiny` changes others in its resolved form.)
    FREE: ClassVar[tuple[str, ...]] = (
        "name",
        "out",
        "tiny",
        "jit_compile",
        "devices",
        "gradient_checkpointing",
    )

    def __post_init__(self):
        """Check that the stages fit together, and what would otherwise fail only in the run."""
        if len(self.steps) != len(self.clusters) or len(self.layers) != len(self.clusters) - 1:
            raise ValueError(
                "Each stage needs `clusters` and `steps`, each but the first `layers`; got "
                f"clusters {self.clusters}, steps {self.steps} and layers {self.layers}."
            )
        for name in ("steps", "clusters"):
            if any(value < 2 for value in getattr(self, name)):
                raise ValueError(f"`{name}` must be at least 2, got {getattr(self, name)}.")
        if max(self.clusters) > _MOST_CLUSTERS:
            raise ValueError(f"`clusters` must be at most {_MOST_CLUSTERS}, got {self.clusters}.")
        check_at_least_one(self, "steps_per_epoch", "mask_time_length")
        check_positive(self, "batch_seconds", "max_seconds", "learning_rate", "clip_norm")
        if self.max_seconds < LEAST_SECONDS:
            raise ValueError(
                f"`max_seconds` must be at least {LEAST_SECONDS}, two frames, got "
                f"{self.max_seconds}."
            )
        for name in ("weight_decay", "unmasked_weight", "diversity_weight", "seed"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"`{name}` must be at least 0 and finite, got {value}.")
        if not 0 <= self.warmup_share <= 1:
            raise ValueError(f"`warmup_share` must be in [0, 1], got {self.warmup_share}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout}.")
        # Batches are planned to be shared.
        check_shareable(self.devices, self.devices, self.precision)
        if not 0 < self.mask_time_prob < 1:
            raise ValueError(f"`mask_time_prob` must be in (0, 1), got {self.mask_time_prob}.")

    @property
    def folder(self):
        """Where the run writes."""
        return self.out / (f"{self.name}-tiny" if self.tiny else self.name)

    def resolved(self):
        """The configuration that is run: itself, or its tiny form.

        Returns:
            `Pretraining`.
        """
        if not self.tiny:
            return self
        return dataclasses.replace(
            self,
            clusters=tuple(8 for _ in self.clusters),
            steps=tuple(4 for _ in self.steps),
            steps_per_epoch=2,
            batch_seconds=6.0,
            max_seconds=2.0,
        )

    def stages(self):
        """What is trained, one after the other.

        Returns:
            List of `Stage`.
        """
        if self.objective == "wav2vec2":
            return [Stage(0, 0, None, sum(self.steps))]
        layers = (None, *self.layers)
        rounds = zip(self.clusters, layers, self.steps, strict=True)
        return [Stage(index, *stage) for index, stage in enumerate(rounds)]
