import json

import numpy as np
import pytest
import soundfile

from experiments.benchmarks import input as audio_input
from experiments.benchmarks import padding, torch_loader
from pad_keras.data import Utterance, librispeech
from tests.backend import BACKEND


@pytest.fixture(scope="module")
def utterances():
    settings = audio_input.Settings()
    return librispeech(settings.root, hours=None, subsets=["valid"])[:3]


def test_formats_are_compared(tmp_path, capsys):
    settings = audio_input.Settings(threads=None, tiny=True, out=tmp_path)
    timed = audio_input.main(settings)
    assert timed.keys() == {"FLAC", "WAV", "Ogg Vorbis"}
    assert all(len(rounds) == 1 for sides in timed.values() for rounds in sides.values())
    written = json.loads((tmp_path / f"input-tiny-{BACKEND}.json").read_text())
    assert [row["format"] for row in written["table"]] == list(timed)
    assert written["table"][0].keys() == {"format", "pad_keras", "torch", "torch / ours"}
    flac, seconds = written["table"][0], timed["FLAC"]["torch"][0]
    assert flac["torch"] == pytest.approx(written["details"]["audio_seconds"] / seconds)
    assert written["details"]["seconds"] == timed
    assert [row["batch"] for row in written["details"]["padding"]] == [4, 8, 16]
    assert written["settings"]["utterances"] == 16
    shown = capsys.readouterr().out
    assert "Ogg Vorbis" in shown
    assert "padding" in shown


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_corpus_is_the_same_in_another_format(utterances, suffix, tmp_path):
    written = audio_input.write_corpus(utterances, tmp_path, suffix)
    for one, other in zip(utterances, written, strict=True):
        assert (one.id, one.text, one.speaker) == (other.id, other.text, other.speaker)
        assert other.audio.endswith(suffix)
        samples = soundfile.read(one.audio)[0]
        # They have 16 bits.
        np.testing.assert_allclose(soundfile.read(other.audio)[0], samples, atol=2**-15)


def test_batch_that_is_not_full_is_checked_too(utterances):
    audio_input.check_equal(utterances, audio_input.Settings(batch=2))


@pytest.mark.parametrize(
    "change", [lambda x: x[:-1], lambda x: 0.99 * x, lambda x: x * float("nan")]
)
def test_unequal_audio_is_refused(utterances, change, monkeypatch):
    read = torch_loader.AudioFiles.__getitem__
    monkeypatch.setattr(
        torch_loader.AudioFiles, "__getitem__", lambda self, index: change(read(self, index))
    )
    with pytest.raises(ValueError, match="do not read the same of '.*ogg'"):
        audio_input.check_equal(utterances, audio_input.Settings(batch=2))


def test_corpus_smaller_than_a_batch_is_refused():
    settings = audio_input.Settings(batch=17, threads=None, tiny=True)
    with pytest.raises(ValueError, match="16 utterances make no batch of 17"):
        audio_input.main(settings)


def test_shares_of_padding_tell_sorting_and_buckets_apart():
    # Thirty of about 1 s and ten of 4 s.
    seconds = [1 + i / 1000 for i in range(30)] + [4.0] * 10
    utterances = [Utterance(str(i), "", "s", value) for i, value in enumerate(seconds)]
    batch, pipeline, without_buckets, any_lengths = padding.shares(utterances, 2)
    assert batch == 2
    assert without_buckets < pipeline < any_lengths
    assert any_lengths > 0.1
    # Nothing to pad a batch of one to, but the buckets.
    assert padding.shares(utterances, 1)[2:] == pytest.approx([0, 0])
