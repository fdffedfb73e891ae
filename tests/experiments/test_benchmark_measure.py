import json

import numpy as np
import pytest

from experiments.benchmarks import measure
from tests.backend import BACKEND


def test_candidates_run_in_turn_and_every_other_round_backwards():
    ran, ticks = [], iter(range(100))
    seconds = measure.in_turn(
        {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 3, clock=lambda: next(ticks)
    )
    assert "".join(ran) == "ab" + "ab" + "ba" + "ab"
    assert seconds == {"a": [1, 1, 1], "b": [1, 1, 1]}
    with pytest.raises(ValueError, match="`rounds` must be at least 1, got 0"):
        measure.in_turn({}, 0)


def test_ratio_is_the_median_over_rounds():
    found = measure.ratio([2.0, 9.0, 4.0, 8.0, 5.0], [2.0, 3.0, 2.0, 2.0, 1.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert str(found) == "3.00 (2.00 to 4.00)"
    assert measure.ratio([3.0], [2.0]) == measure.Ratio(1.5, 1.5, 1.5)


def test_what_computes_something_else_is_refused():
    one = np.ones(3)
    with pytest.raises(ValueError, match="The two differ by 0.5 of the largest number; at most"):
        measure.check_equal("The two", one, np.full(3, 2.0), 0.1)
    with pytest.raises(ValueError, match="differ by nan"):
        measure.check_equal("The two", np.full(3, np.nan), one, 0.1)
    with pytest.raises(ValueError, match="differ by 1 of"):
        measure.check_equal("The two", (one, 2 * one), (one, one), 0.1)
    measure.check_equal("The two", (one, np.zeros(2)), (one, np.zeros(2)), 0.0)


def test_peak_memory_is_what_a_call_takes_for_a_while():
    size = 200_000_000
    # Written to, or the system would not give it.
    peak = measure.peak_memory(lambda: np.ones(size, "uint8").sum())
    if peak is None:
        pytest.skip("the system does not tell")
    assert 0.9 * size < peak < 1.5 * size


def test_report_is_written_with_all_it_was_made_of(tmp_path, capsys):
    rows = [["loss", measure.Ratio(0.5, 0.25, 0.75)]]
    measure.report("x", {"rounds": 2}, "A title", ["part", "share"], rows, {"a": [1.0]}, tmp_path)
    written = json.loads((tmp_path / f"x-{BACKEND}.json").read_text())
    assert written["table"] == [{"part": "loss", "share": "0.50 (0.25 to 0.75)"}]
    assert written["settings"] == {"rounds": 2}
    assert written["details"] == {"a": [1.0]}
    assert "A title" in capsys.readouterr().out
