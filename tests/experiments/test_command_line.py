import pathlib
import subprocess
import sys

import pytest

from experiments.command_line import explained_errors
from experiments.locks import BusyError


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, ImportError, BusyError])
def test_an_explained_error_ends_with_its_message_and_keeps_its_traceback(kind):
    with pytest.raises(SystemExit) as ended, explained_errors():
        raise kind("no such file: 'x'")
    told, found = ended.value.code.strip().splitlines()
    assert told == "error: no such file: 'x'"
    path = pathlib.Path(found.removeprefix("(where it was found: ").removesuffix(")"))
    assert 'raise kind("no such file' in path.read_text()
    path.unlink()


def test_other_errors_are_raised():
    with pytest.raises(ZeroDivisionError), explained_errors():
        1 / 0  # noqa: B018


def test_ctrl_c_ends_as_a_shell_expects(capsys):
    with pytest.raises(SystemExit) as ended, explained_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_a_command_tells_a_wrong_argument_in_a_line(tmp_path):
    command = [sys.executable, "-m", "experiments.slu", "ic", "--tiny", "--out", str(tmp_path)]
    command += ["--data", str(tmp_path / "nowhere")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "nowhere" in ended.stderr.split("error: ")[-1]
