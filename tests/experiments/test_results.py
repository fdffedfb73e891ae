import dataclasses

from experiments.results import corpus_hash
from pad_keras.data import Utterance


def test_a_corpus_that_says_or_sounds_different_has_another_hash(tmp_path):
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"0" * 100)
    corpus = [Utterance("a", str(audio), "s", 1.0, "play", {"action": "play"})]
    before = corpus_hash(corpus)
    moved = tmp_path / "elsewhere" / "a.wav"
    moved.parent.mkdir()
    moved.write_bytes(b"0" * 100)
    assert corpus_hash([dataclasses.replace(corpus[0], audio=str(moved))]) == before
    for change in ({"text": "stop"}, {"labels": {"action": "stop"}}, {"id": "b"}, {"part": "seen"}):
        assert corpus_hash([dataclasses.replace(corpus[0], **change)]) != before
    audio.write_bytes(b"0" * 80)
    assert corpus_hash(corpus) != before
