import json

import pytest

from experiments.benchmarks import clipping
from tests.backend import BACKEND


@pytest.mark.skipif(BACKEND != "torch", reason="where there is nothing to compile it is quick")
def test_clippings_are_compared(tmp_path, capsys):
    seconds = clipping.main(clipping.Settings(layers=1, dim=16, samples=1_600, out=tmp_path))
    assert seconds.keys() == {"no clipping", "pad_keras", "keras"}
    assert json.loads((tmp_path / "clipping-torch-1-layers.json").read_text())["seconds"] == seconds
    assert "of keras" in capsys.readouterr().out
