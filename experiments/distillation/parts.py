"""What a distillation is made of: teacher, student with its losses, cached frames, optimizer."""

import dataclasses
import math

from experiments.backends import resolve_jit
from experiments.caches import announced_cache
from experiments.optimization import encoder_optimizer
from pad_keras import models
from pad_keras.data.fingerprints import weights_hash


def build_teacher(configuration, train):
    """The frozen teacher of a configuration.

    Args:
        configuration: `Configuration`.
        train: list of `Utterance`, whose transcripts `weighting="idf"` and `centring="corpus"`
            learn from.

    Returns:
        `TextTeacher`, in float32 whatever the student's precision.
    """
    settings = configuration.teacher
    teacher = models.TextTeacher.from_preset(
        settings.preset,
        text_units=settings.text_units,
        layer=settings.layer,
        significance_layers=settings.significance_layers,
        centring=settings.centring,
        dtype="float32",
    )
    transcripts = [utterance.text for utterance in train]
    if configuration.objective.weighting == "idf":
        teacher.adapt_idf(transcripts)
    if settings.centring == "corpus":
        teacher.adapt_mean(transcripts)
    return teacher


def build_distiller(configuration, teacher):
    """Student, losses and, if the widths differ, the projection between.

    Args:
        configuration: `Configuration`.
        teacher: `TextTeacher`.

    Returns:
        `AlignmentDistiller`, not compiled.
    """
    settings = dataclasses.asdict(configuration.student)
    preset = settings.pop("preset")
    changes = {name: value for name, value in settings.items() if value is not None}
    student = models.Wav2Vec2Backbone.from_preset(
        preset,
        dtype=configuration.training.precision,
        gradient_checkpointing=configuration.training.gradient_checkpointing,
        **changes,
    )
    return models.AlignmentDistiller(
        teacher=teacher,
        student=student,
        distillation_losses=configuration.objective.build(),
        distillation_loss_weights=list(configuration.objective.weights),
    )


def frame_cache(configuration, student, corpora):
    """The frames of a frozen front end, computed once.

    Args:
        configuration: `Configuration`.
        student: `Wav2Vec2Backbone`.
        corpora: dict of lists of `Utterance`.

    Returns:
        `HiddenStateCache`; `None` if the front end is trained or nothing is to be cached.

    Raises:
        OSError: if the disk has too little room.
    """
    if not (configuration.training.cache_frames and configuration.student.freeze_feature_encoder):
        return None
    front_end = models.FrontEnd(student.feature_encoder)
    precision = configuration.training.precision
    utterances = list({u.id: u for split in corpora.values() for u in split}.values())
    folder = configuration.out / "frames" / f"{weights_hash(front_end)[:12]}-{precision}"
    return announced_cache(
        "frames of the front end",
        front_end,
        utterances,
        folder,
        instead="--training.no-cache-frames to run the front end in each step",
        dtype=frames_dtype(precision),
    )


def frames_dtype(precision):
    """Of cached frames: no coarser than what the student computes in.

    Args:
        precision: str, the dtype policy of the student.

    Returns:
        str.
    """
    return "float32" if precision == "float32" else "float16"


def compile_distiller(distiller, training, steps_per_epoch):
    """Give a distiller its optimizer.

    Args:
        distiller: `AlignmentDistiller`.
        training: `Training`.
        steps_per_epoch: int.
    """
    updates = max(2, steps_per_epoch * training.epochs // training.accumulation)
    optimizer = encoder_optimizer(
        training,
        math.ceil(training.warmup_share * updates),
        updates,
        gradient_accumulation_steps=training.accumulation if training.accumulation > 1 else None,
    )
    distiller.compile(optimizer=optimizer, jit_compile=resolve_jit(training.jit_compile))
