"""Runs in a test: what a small distillation and a small pretraining are on, and checks."""

import contextlib

import numpy as np
import pytest
import soundfile
from keras import ops

from experiments.pretraining.augmentation import Augmentation
from experiments.pretraining.configuration import Pretraining
from pad_keras.models import Wav2Vec2Backbone
from tests.data.corpus import write_corpus
from tests.small import speech_student


def write_inputs(root, train, valid, test, **student):
    """Write `speech` and the preset `student` into a folder.

    Args:
        root: `pathlib.Path`.
        train: int, speakers of training.
        valid: int, other ones.
        test: int, other ones.
        **student: arguments of `speech_student`.
    """
    speakers = {"train": train, "valid": valid, "test": test}
    for first, (name, count) in enumerate(speakers.items()):
        # Of one length: each further shape would be compiled for.
        write_corpus(root / "speech", count, subset=name, first=10 * first, step=0)
    speech_student(dim=24, **student).save_to_preset(str(root / "student"))


def write_tones(folder, count, seconds=1.0, rate=16_000, suffix=".wav"):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        time = np.arange(int(seconds * rate)) / rate
        tone = 0.1 * np.sin(2 * np.pi * (200 + 150 * index) * time**1.1)
        soundfile.write(folder / f"tone-{index}{suffix}", tone, rate)


def small_pretraining(root):
    """Write tones and a preset, and say how to pretrain on them.

    Args:
        root: `pathlib.Path`.

    Returns:
        `Pretraining` of two stages, with dropout, noise and rooms.
    """
    write_tones(root / "audio" / "deep" / "deeper", 4)
    write_tones(root / "valid", 2)
    student = speech_student(hidden_dropout=0.1)
    student.save_to_preset(str(root / "student"))
    return Pretraining(
        audio=(root / "audio",),
        valid=(root / "valid",),
        student=str(root / "student"),
        clusters=(4, 5),
        layers=(1,),
        steps=(4, 4),
        steps_per_epoch=2,
        batch_seconds=2.0,
        augmentation=Augmentation(speeds=(1.0, 1.0), noise=0.5, reverberation=0.5),
        out=root,
    )


@contextlib.contextmanager
def killed_in_the_second_epoch(callback, hook):
    """Kill the run within when a hook is called for the second epoch.

    Args:
        callback: class of a `keras.callbacks.Callback`.
        hook: str, its method, of an epoch.
    """
    real = getattr(callback, hook)

    def kill(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        real(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callback, hook, kill)
        with pytest.raises(KeyboardInterrupt):
            yield


def check_same_runs(found, expected, found_folder, expected_folder):
    """Check that a run that was killed and went on is an unbroken one, but for rounding.

    Args:
        found: dict, the results of the one that went on.
        expected: dict, those of the unbroken one.
        found_folder: `pathlib.Path`, where the first one's student is.
        expected_folder: `pathlib.Path`, the other one's.
    """
    assert found["best_epoch"] == expected["best_epoch"]
    for logs, others in zip(found["history"], expected["history"], strict=True):
        assert logs == pytest.approx(others, rel=1e-4, abs=1e-5)
    assert found["test"] == pytest.approx(expected["test"], rel=1e-4, abs=1e-5)
    students = [
        Wav2Vec2Backbone.from_preset(str(folder / "student"))
        for folder in (found_folder, expected_folder)
    ]
    for pair in zip(*(student.weights for student in students), strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, pair), rtol=1e-3, atol=1e-5)
