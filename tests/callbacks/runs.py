"""A small distillation with dropout, for tests of callbacks."""

import numpy as np

from pad_keras.losses import GlobalAlignment, SpanAlignment
from pad_keras.models import AlignmentDistiller
from pad_keras.optimizers import MonitoredAdamW, warmup_decay
from tests.backend import QUICK, numpy_of
from tests.models.test_alignment_distiller import batch
from tests.small import speech_student, text_teacher

STEPS = 3


def new_distiller(seed=6, student_dim=16, losses=None, dropout=0.2):
    """A compiled distiller whose student has dropout and, at another width, a projection."""
    student = speech_student(student_dim, seed=seed, hidden_dropout=dropout)
    losses = losses or [GlobalAlignment(), SpanAlignment()]
    distiller = AlignmentDistiller(text_teacher(), student, losses)
    schedule = warmup_decay(3e-3, warmup_steps=2, total_steps=20)
    distiller.compile(MonitoredAdamW(schedule, global_clipnorm=1.0), **QUICK)
    return distiller


def batches(distiller, start=0):
    """An endless stream of differing batches of one shape, from a step on."""
    inputs = batch(distiller.teacher)
    units = numpy_of(distiller.teacher(inputs["text"]))
    while True:
        scale = np.float32(1 + start % 5)
        speech = {**inputs["speech"], "waveform": scale * inputs["speech"]["waveform"] ** 3}
        yield ({"speech": speech, "text_units": units},)
        start += 1


def train(distiller, epochs, callbacks, initial_epoch=0):
    """`fit` for some epochs of a few steps."""
    return distiller.fit(
        batches(distiller, initial_epoch * STEPS),
        steps_per_epoch=STEPS,
        initial_epoch=initial_epoch,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
