import json
import os

import numpy as np
import pytest
from keras import ops

from experiments.benchmarks import spans
from pad_keras.losses.functional import pool_spans
from tests.backend import BACKEND


def one_series(name):
    """Only this series, of two tiny cases."""
    cases = spans.all_series(tiny=True)[name]
    return lambda tiny: {name: cases}


@pytest.fixture
def in_this_process(monkeypatch):
    """Measure memory here: importing a backend anew for each number takes seconds."""
    monkeypatch.setattr(spans, "in_own_process", lambda function, *arguments: function(*arguments))


def test_each_case_has_times_memory_and_the_bytes_that_gathering_takes(
    tmp_path, monkeypatch, capsys, in_this_process
):
    monkeypatch.setattr(spans, "all_series", one_series("frames"))
    rows = spans.main(spans.Settings(rounds=2, tiny=True, out=tmp_path))
    written = json.loads((tmp_path / f"spans-{BACKEND}.json").read_text())
    assert [row[0] for row in rows] == ["frames 20", "frames 60"]
    assert [row["case"] for row in written["table"]] == ["frames 20", "frames 60"]
    # 2 utterances of 8 anchors at 3 scales, spans of 10 and 30 frames of 8 float32.
    assert [row["gathered, MB"] for row in written["table"]] == [0.01536, 0.04608]
    for details in written["details"]:
        assert {n: len(times) for n, times in details["times"].items()} == {
            "ours": 2,
            "naive": 2,
            "alone": 2,
        }
        assert len(details["peak_bytes"]) == 2
        assert details["case"]["batch"] == 2
    assert "Span aggregation" in capsys.readouterr().out


def test_growth_is_relative_to_the_first_case_of_a_series(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "all_series", one_series("frames"))

    def three_times_as_long_for_more_frames(runs, rounds):
        # The keys are a number of frames and a method, or the number alone for ours.
        pairs = {key: key if isinstance(key, tuple) else (key, "ours") for key in runs}
        lasts = {(20, "ours"): 1.0, (60, "ours"): 3.0, (20, "naive"): 4.0, (60, "naive"): 12.0}
        return {key: [lasts[pair]] for key, pair in pairs.items()}

    monkeypatch.setattr(spans.measure, "in_turn", three_times_as_long_for_more_frames)
    rows = spans.main(spans.Settings(tiny=True, memory=False, out=tmp_path))
    # 60 frames are three times 20, so the time per frame is the same.
    assert [row[4].median for row in rows] == [1.0, 1.0]
    assert [row[1] for row in rows] == [1000.0, 3000.0]
    assert [row[3].median for row in rows] == [4.0, 4.0]


def test_without_memory_the_table_has_no_peaks(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "all_series", one_series("span length"))
    rows = spans.main(spans.Settings(rounds=1, tiny=True, memory=False, out=tmp_path))
    written = json.loads((tmp_path / f"spans-{BACKEND}.json").read_text())
    assert len(rows) == 2
    assert "ours, MB" not in written["table"][0]


@pytest.mark.parametrize("tiny", [True, False])
def test_a_series_varies_one_quantity(tiny):
    series = spans.all_series(tiny)
    assert list(series) == ["frames", "text units", "scales", "batch", "span length"]
    for length, case in series["span length"].items():
        assert case.longest == length
    lengths = series["span length"].values()
    assert len({(c.batch, c.frames, c.anchors, c.scales, c.dim) for c in lengths}) == 1
    assert len({case.longest for case in series["scales"].values()}) == 1
    for cases in series.values():
        for case in cases.values():
            assert case.anchors <= case.frames


def test_gathering_pools_as_prefix_sums_do():
    # A short span, a long one and an empty one; then one at the end of the utterance.
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    starts, ends = np.array([[0, 2, 0], [6, 1, 3]]), np.array([[3, 7, 0], [7, 3, 4]])
    starts, ends = (ops.cast(edges, "int32") for edges in (starts, ends))
    gathered = spans.gather_spans(ops.convert_to_tensor(x), starts, ends, longest=6)
    expected = ops.convert_to_numpy(pool_spans(x, starts, ends))
    np.testing.assert_allclose(ops.convert_to_numpy(gathered), expected, atol=1e-5)


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_unequal_pools_are_refused(tmp_path, monkeypatch, wrong):
    gather = spans.gather_spans
    monkeypatch.setattr(spans, "all_series", one_series("frames"))
    monkeypatch.setattr(spans, "gather_spans", lambda *a, **k: gather(*a, **k) + wrong)
    with pytest.raises(ValueError, match=r"pools of Case\(batch=2, frames=20.* differ by"):
        spans.main(spans.Settings(rounds=1, tiny=True, memory=False, out=tmp_path))
    assert not list(tmp_path.iterdir())


def test_memory_is_measured_in_another_process():
    assert spans.in_own_process(os.getpid) != os.getpid()
