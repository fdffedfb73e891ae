import json

import numpy as np
import pytest

from experiments.benchmarks import significance
from tests.backend import BACKEND


def test_each_length_has_times_memory_and_the_bytes_of_all_attention_maps(
    tmp_path, monkeypatch, capsys
):
    # A process that imports a backend anew, and compiles, takes long.
    peaks = {"with": 3_000_000, "without": 2_000_000}
    monkeypatch.setattr(significance, "in_own_process", lambda f, s, seconds, name: peaks[name])
    (row,) = significance.main(significance.Settings(tiny=True, out=tmp_path))
    written = json.loads((tmp_path / f"significance-mini-{BACKEND}.json").read_text())
    (table,), (details,) = written["table"], written["details"]
    assert list(table.values())[:2] == row[:2] == ["0.5 s", 24]
    assert [table["with, MB"], table["without, MB"]] == [3.0, 2.0]
    # 2 layers of 2 heads, 24 by 24 frames of 4 bytes.
    assert table["all maps, MB"] == 4 * 2 * 2 * 24**2 / 1e6
    assert details["peak_bytes"] == peaks
    assert details["times"].keys() == peaks.keys()
    assert [len(times) for times in details["times"].values()] == [2, 2]
    assert written["settings"]["seconds"] == [0.5]
    assert "Significance prior of wav2vec2-mini" in capsys.readouterr().out


def test_without_the_prior_all_else_is_the_encoders():
    encoder = significance.build(significance.Settings(tiny=True))
    model = significance.without_prior(encoder)
    assert model.output.keys() == encoder.output.keys() - {"significance"}
    assert all(layer.return_received for layer in encoder.transformer_layers)
    assert not any(getattr(layer, "return_received", False) for layer in model.layers)
    assert model.count_params() == encoder.count_params()
    shared = {layer.name for layer in model.layers if layer in encoder.layers}
    assert {"feature_encoder", "feature_projection", "positional_embedding"} <= shared


@pytest.mark.parametrize("name", significance.MODELS)
def test_memory_is_that_of_the_forward_pass_with_or_without_the_prior(monkeypatch, name):
    ran = []
    monkeypatch.setattr(
        significance, "forward", lambda model, seconds: lambda: ran.append((model, seconds))
    )
    significance.peak(significance.Settings(tiny=True), 0.5, name)
    ((model, seconds),) = ran
    assert seconds == 0.5
    assert ("significance" in model.output) == (name == "with")


def test_nothing_is_timed_or_written_of_unequal_outputs(tmp_path, monkeypatch):
    def forward(model, seconds):
        value = 1.0 if "significance" in model.output else 2.0
        return lambda: dict.fromkeys(("sequence_output", "hidden_states"), np.array(value))

    monkeypatch.setattr(significance, "forward", forward)
    with pytest.raises(ValueError, match="with and without the prior differ by 0.5"):
        significance.main(significance.Settings(tiny=True, out=tmp_path))
    assert not list(tmp_path.iterdir())
