import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from keras import ops

from experiments.students import save_undistilled
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND
from tests.small import speech_student

ROOT = pathlib.Path(__file__).parents[2]


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if BACKEND != "tensorflow":
        pytest.skip("the whole of quickstart is run once")
    folder = tmp_path_factory.mktemp("quickstart")
    arguments = ("--out", folder / "runs", "--saved-models", folder / "saved_models")
    told = command("-m", "experiments.quickstart", "--tiny", *arguments)
    assert told.returncode == 0, told.stderr[-3000:]
    return folder, told.stdout


def test_quickstart_tells_its_story(told):
    folder, story = told
    for words in (
        "recall@1",
        "word overlap",
        "chance",
        "tensorboard --logdir",
        "ic: accuracy, unseen",
        "sf: slot-type F1",
        "undistilled",
        "most significant",
        "confidence",
    ):
        assert words in story
    results = json.loads((folder / "runs" / "quickstart-tiny" / "quickstart.json").read_text())
    assert results["heads"]["ic"].keys() == {"undistilled", "distilled", "mini-hubert-pad"}
    for model in ("student", "intents", "slots"):
        name = f"quickstart-tiny-{model}"
        assert (folder / "saved_models" / name / "saved_model.pb").exists()


def test_heads_are_compared_on_the_student_that_was_distilled(told):
    folder, _ = told
    run = folder / "runs" / "quickstart-tiny"
    before, after = (
        Wav2Vec2Backbone.from_preset(str(run / name)) for name in ("undistilled", "student")
    )
    changed = {True: [], False: []}  # By whether they are of the front end, which is frozen.
    for pair in zip(before.weights, after.weights, strict=True):
        is_moved = not np.array_equal(*map(ops.convert_to_numpy, pair))
        changed["feature_encoder" in pair[0].path].append(is_moved)
    assert np.mean(changed[False]) > 0.8
    assert not any(changed[True])
    configuration = json.loads((run / "configuration.json").read_text())
    assert configuration["student"]["preset"] == str(run / "undistilled")


def test_another_student_does_not_go_on_with_a_run(tmp_path):
    presets = []
    for seed in (1, 2):
        presets.append(str(tmp_path / f"preset-{seed}"))
        speech_student(seed=seed).save_to_preset(presets[-1])
    folder = tmp_path / "run" / "undistilled"
    for _ in range(2):
        assert save_undistilled(presets[0], folder) == folder
    with pytest.raises(ValueError, match="holds a run with the student"):
        save_undistilled(presets[1], folder)


def test_the_saved_model_is_asked_by_tensorflow_alone(told, tmp_path):
    folder, _ = told
    model = folder / "saved_models" / "quickstart-tiny-student"
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "b.wav", np.zeros(8_000), 8_000)
    script = ROOT / "experiments" / "serve_encoder.py"
    answer = command(script, model, tmp_path / "a.wav")
    assert '"shape": [49, 384]' in answer.stdout, answer.stderr[-2000:]
    refused = command(script, model, tmp_path / "b.wav")
    assert refused.returncode
    assert "8000 Hz; resample the file to 16000 Hz" in refused.stderr
