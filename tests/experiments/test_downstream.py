import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pad_keras import export_saved_model
from pad_keras.models import SlotFiller, UtteranceClassifier
from tests.backend import BACKEND
from tests.small import speech_student

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="the scripts are run once")


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, EXPERIMENTS / name, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_models")
    intents = {"action": ("on", "off"), "object": ("light", "heat", "music")}
    for name, model in (
        ("encoder", speech_student(dim=32, conv_filters=(32,) * 7)),
        ("intents", UtteranceClassifier(speech_student(), intents, projection_dim=8)),
        ("slots", SlotFiller(speech_student(), ["artist"], projection_dim=8, lstm_dim=6)),
    ):
        export_saved_model(model, folder / name)
    return folder


@pytest.fixture
def recordings(tmp_path):
    generator = np.random.default_rng(3)
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    for name, rate in (("more/c.wav", 16_000), ("b.WAV", 44_100)):
        soundfile.write(folder / name, generator.normal(scale=0.1, size=9000), rate, format="WAV")
    return folder


def test_listen_prints_a_table_and_goes_on_behind_a_broken_file(saved_models, recordings):
    (recordings / "a.wav").write_bytes(b"no audio")
    models = ("--intents", saved_models / "intents", "--slots", saved_models / "slots")
    told = script("listen.py", recordings, recordings / "none.wav", *models)
    assert told.returncode == 1, told.stderr[-2000:]
    heading, *rows = told.stdout.splitlines()
    columns = ["file", "action", "confidence", "object", "confidence"]
    assert heading.split() == [*columns, "words", "slots", "confidence"]
    assert [row.split()[0] for row in rows] == [
        str(recordings / "b.WAV"),
        str(recordings / "more/c.wav"),
    ]
    for row in rows:
        assert row[heading.index("action") :].split()[0] in ("on", "off")
        assert row[heading.index("object") :].split()[0] in ("light", "heat", "music")
    broken, missing = told.stderr.strip().splitlines()
    assert broken.startswith(f"{recordings / 'a.wav'}: The bytes are no WAV file")
    assert missing == f"{recordings / 'none.wav'}: No such file or directory"


def test_listen_prints_lines_of_json(saved_models, recordings):
    models = ("--emotion", saved_models / "intents", "--slots", saved_models / "slots")
    told = script("listen.py", recordings, *models, "--json")
    assert told.returncode == 0, told.stderr[-2000:]
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    assert [pathlib.Path(answer["file"]).name for answer in answers] == ["b.WAV", "c.wav"]
    intents, slots = (
        tf.saved_model.load(str(saved_models / name)).signatures["serve_wav"]
        for name in ("intents", "slots")
    )
    for answer in answers:
        contents = tf.constant([pathlib.Path(answer["file"]).read_bytes()])
        labels, text = intents(contents=contents), slots(contents=contents)
        assert answer["emotion"]["action"].encode() == labels["action"]
        greatest = labels["object_probabilities"].numpy().max()
        np.testing.assert_allclose(answer["emotion"]["object_confidence"], greatest, atol=1e-4)
        assert answer["slots"]["words"].encode() == text["words"]
        np.testing.assert_allclose(answer["slots"]["confidence"], text["confidence"][0], atol=1e-4)


def test_listen_refuses_models_of_another_kind(saved_models, recordings):
    told = script("listen.py", recordings, "--slots", saved_models / "intents")
    assert told.returncode
    assert "must be an exported SlotFiller" in told.stderr


def test_listen_names_a_damaged_model(recordings, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    told = script("listen.py", recordings, "--slots", tmp_path)
    assert (
        told.stderr.strip()
        == f"--slots {tmp_path}: no SavedModel with serve_wav can be read there (ValueError)."
    )


@pytest.fixture
def tones_and_noise(tmp_path):
    generator = np.random.default_rng(4)
    for index in range(12):
        time = np.arange(8000 + 500 * index) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * generator.uniform(200, 800) * time)
        noise = generator.normal(scale=0.1, size=len(time))
        for label, waveform in (("tone", tone), ("noise", noise)):
            file = tmp_path / "data" / label / f"{index}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, waveform, 16_000)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("options", "measured"),
    [
        ((), "on 6 held-out files"),
        (("--cross-validation", 4, "--pooling", "mean"), "in 4 folds"),
    ],
)
def test_tones_are_told_from_noise(saved_models, tones_and_noise, options, measured):
    told = script("train_on_embeddings.py", saved_models / "encoder", tones_and_noise, *options)
    assert told.returncode == 0, told.stderr[-2000:]
    assert "files 24, classes 2, features 32" in told.stdout
    assert measured in told.stdout
    figures = {line.split()[0]: line for line in told.stdout.splitlines()}
    assert float(figures["accuracy"].split()[1]) > 0.8
    assert figures["majority"] == "majority class 0.500"


def test_training_names_a_broken_file(saved_models, tones_and_noise):
    broken = tones_and_noise / "noise" / "0.wav"
    broken.write_bytes(b"")
    told = script("train_on_embeddings.py", saved_models / "encoder", tones_and_noise)
    assert told.stderr.strip() == f"{broken}: The WAV file is empty."


def test_training_needs_two_classes(saved_models, tones_and_noise):
    told = script("train_on_embeddings.py", saved_models / "encoder", tones_and_noise / "noise")
    assert told.returncode
    assert "two classes or more" in told.stderr
