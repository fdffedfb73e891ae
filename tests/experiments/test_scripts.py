import os
import pathlib
import subprocess
import sys

import pytest

from tests.backend import BACKEND

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the scripts are run once")
@pytest.mark.parametrize("name", ["distill", "table1", "ablations"])
def test_a_script_runs_as_a_file_from_anywhere(name, tmp_path):
    told = subprocess.run(
        [sys.executable, str(ROOT / "experiments" / f"{name}.py"), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert "usage:" in told.stdout
