import dataclasses

import numpy as np
import pytest
import soundfile

from experiments.distillation.configuration import Data
from experiments.distillation.speeds import at_speeds
from pad_keras.data import BadInputError, librispeech
from tests.data.corpus import write_corpus


def pitch(path):
    """The strongest frequency of a file, in Hz."""
    waveform, rate = soundfile.read(path)
    powers = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return powers.argmax() * rate / len(waveform)


@pytest.fixture
def utterances(tmp_path):
    return librispeech(write_corpus(tmp_path / "corpus", speakers=2, per_speaker=2), hours=None)


def test_a_copy_is_faster_and_higher(utterances, tmp_path):
    found = at_speeds(utterances, (1.0, 0.8, 1.25), tmp_path / "speeds")
    assert found[:4] == utterances
    assert len({one.id for one in found}) == 12
    for speed, copies in ((0.8, found[4:8]), (1.25, found[8:])):
        for copy, original in zip(copies, utterances, strict=True):
            assert copy.id == f"{original.id}@{speed:g}"
            assert (copy.text, copy.speaker) == (original.text, original.speaker)
            assert copy.seconds == pytest.approx(original.seconds / speed, abs=1e-3)
            assert pitch(copy.audio) == pytest.approx(speed * pitch(original.audio), rel=0.03)
            assert soundfile.info(copy.audio).samplerate == 16_000


def test_copies_are_made_once_and_anew_when_the_audio_changes(utterances, tmp_path, monkeypatch):
    first = at_speeds(utterances, (1.1,), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "write", None)
        assert at_speeds(utterances, (1.1,), tmp_path) == first
    waveform, rate = soundfile.read(utterances[0].audio)
    soundfile.write(utterances[0].audio, waveform[: len(waveform) // 2], rate)
    again = at_speeds(utterances, (1.1,), tmp_path)
    assert again[0].audio != first[0].audio
    assert again[0].seconds == pytest.approx(first[0].seconds / 2, abs=1e-3)
    assert again[1:] == first[1:]


def test_audio_that_cannot_be_read_is_named(utterances, tmp_path):
    with open(utterances[1].audio, "wb") as file:
        file.write(b"no audio")
    with pytest.raises(BadInputError, match=utterances[1].audio):
        at_speeds(utterances, (1.1,), tmp_path)
    gone = dataclasses.replace(utterances[0], audio=str(tmp_path / "gone.flac"))
    with pytest.raises(BadInputError, match="gone.flac: there is no such file"):
        at_speeds([gone], (1.1,), tmp_path)
    assert not list(tmp_path.glob("1.1/*.partial"))


@pytest.mark.parametrize("speeds", [(), (1.0, 1.0), (0.1,), (float("nan"),)])
def test_speeds_that_make_no_sense_are_refused(speeds):
    with pytest.raises(ValueError, match="`speeds` must be different numbers"):
        Data(speeds=speeds)
