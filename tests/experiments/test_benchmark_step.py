import json

from experiments.benchmarks import step
from tests.backend import BACKEND


def test_parts_of_a_step_are_told(tmp_path, capsys):
    rows = step.main(step.Settings(tiny=True, out=tmp_path))
    parts = [row[0] for row in rows]
    assert parts == ["student", "loss", "optimizer", "teacher, not cached", "input"]
    assert all(row[1].median > 0 for row in rows)
    written = json.loads((tmp_path / f"step-pad-slocal-{BACKEND}.json").read_text())
    assert written["details"]["seconds"].keys() == {"whole step", *parts}
    assert "of the whole step" in capsys.readouterr().out
