import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.backend import BACKEND

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
    for words in ("recall@1", "word overlap", "chance", "tensorboard --logdir", "most significant"):
        assert words in story
    assert (folder / "runs" / "quickstart-tiny" / "results.json").exists()
    assert (folder / "saved_models" / "quickstart-tiny-student" / "saved_model.pb").exists()


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
