import shutil
import types

import keras
import pytest

from pad_keras.data import (
    librispeech,
)
from tests.data.corpus import write_corpus
from tests.data.hidden_states.common import COUNT, build
from tests.small import speech_student


@pytest.fixture(scope="package")
def utterances(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return librispeech(write_corpus(folder, speakers=2, per_speaker=COUNT // 2), hours=None)


@pytest.fixture(scope="package")
def student():
    # Dropout, which a state computed in training mode would show.
    return speech_student(hidden_dropout=0.1)


@pytest.fixture(scope="package")
def exact(student, utterances, tmp_path_factory):
    """A cache in float32, for tests that only read."""
    folder = tmp_path_factory.mktemp("exact")
    return build(student, utterances, folder, dtype="float32")


@pytest.fixture
def folder(exact, tmp_path):
    """The same cache in a folder that a test may change."""
    return shutil.copytree(exact.folder, tmp_path / "states")


@pytest.fixture
def encoded(monkeypatch):
    """Sizes of the batches that the encoder computes; `fail_at` is the one it fails at."""
    calls = types.SimpleNamespace(sizes=[], fail_at=None)
    compute = keras.Model.predict_on_batch

    def counted(model, x):
        if len(calls.sizes) == calls.fail_at:
            raise KeyboardInterrupt
        calls.sizes.append(len(x["waveform"]))
        return compute(model, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", counted)
    return calls
