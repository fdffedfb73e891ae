import signal
import subprocess
import sys
import time

import pytest

from experiments.command_line import explained_errors
from experiments.locks import BusyError

SLU = [sys.executable, "-m", "experiments.slu", "ic", "--tiny"]


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, BusyError])
def test_an_explained_error_ends_with_its_message(kind):
    with pytest.raises(SystemExit, match="error: no such file: 'x'\n") as ended, explained_errors():
        raise kind("no such file: 'x'")
    assert ended.value.code != 0


def test_other_errors_are_raised():
    with pytest.raises(ZeroDivisionError), explained_errors():
        1 / 0  # noqa: B018


def test_the_environment_asks_for_the_traceback(monkeypatch):
    monkeypatch.setenv("PAD_KERAS_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no such file"), explained_errors():
        raise ValueError("no such file: 'x'")


def test_a_command_tells_a_wrong_argument_in_a_line(tmp_path):
    arguments = ["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)]
    ended = subprocess.run([*SLU, *arguments], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "nowhere" in ended.stderr.split("error: ")[-1]


def test_ctrl_c_ends_without_a_traceback(tmp_path):
    child = subprocess.Popen(
        [*SLU, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background have it ignored, and pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while "train:" not in child.stdout.readline():
        assert child.poll() is None, child.stderr.read()
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate()
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
