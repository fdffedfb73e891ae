import json

import numpy as np
import pytest

from experiments.benchmarks import measure, serving
from tests.backend import BACKEND


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow serves whatever the backend is")
def test_a_saved_model_is_compared_with_transformers(tmp_path, capsys):
    rows = serving.main(serving.Settings(tiny=True, calls=20, out=tmp_path))
    assert [row[0] for row in rows] == ["0.5 s", "cold start"]
    assert all(row[1] > 0 and row[2] > 0 and row[3].low <= row[3].high for row in rows)
    written = json.loads((tmp_path / f"serving-mini-{BACKEND}.json").read_text())
    for times in written["details"]["times"].values():
        assert {len(seconds) for seconds in times.values()} == {2}
    assert written["details"]["memory"]["after all"] > 10_000_000
    assert "20 calls" in capsys.readouterr().out


def test_memory_is_read_after_a_tenth_of_the_calls_and_after_all():
    kept, lengths = [], []

    def serve(waveform):
        lengths.append(waveform.shape[1])
        kept.append(np.ones(1_000_000, "float32"))

    growth = serving.memory_growth(serve, calls=20, longest=0.3)
    assert growth["after all"] - growth["after a tenth"] == pytest.approx(18 * 4e6, rel=0.3)
    assert len(set(lengths)) > 10
    assert 1_600 <= min(lengths) <= max(lengths) <= 4_800


def test_a_cold_start_that_fails_tells_why(tmp_path):
    np.save(tmp_path / "speech.npy", serving.speech(0.5))
    with pytest.raises(RuntimeError, match=r"cold start of pad_keras failed:(.|\n)*SavedModel"):
        serving.cold_start(serving.OURS, tmp_path, tmp_path / "speech.npy")


def test_resident_memory_has_no_other_field():
    with pytest.raises(OSError, match="has no VmNothing"):
        measure.resident("VmNothing")
