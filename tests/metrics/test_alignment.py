import numpy as np
import pytest

from pad_keras.metrics import frame_seconds, retrieval_recall, unit_words, word_overlap
from tests.small import text_teacher


def recall_by_loops(text, speech, k):
    hits = 0
    for i, one in enumerate(text):
        cosines = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in speech]
        better = sum(c >= cosines[i] for j, c in enumerate(cosines) if j != i)
        hits += better < k
    return hits / len(text)


def test_recall_equals_loops():
    generator = np.random.default_rng(0)
    text = generator.normal(size=(30, 5))
    speech = text + generator.normal(size=text.shape)
    found = retrieval_recall(text, speech, k=(1, 3, 10))
    for k in (1, 3, 10):
        assert found[f"recall_at_{k}"] == pytest.approx(recall_by_loops(text, speech, k))
    assert 0 < found["recall_at_1"] < found["recall_at_10"] < 1


def test_perfect_embeddings_are_all_found():
    text = np.eye(4)
    assert retrieval_recall(text, 7 * text, k=(1,)) == {"recall_at_1": 1.0}


@pytest.mark.parametrize("speech", [np.ones((12, 3)), np.full((12, 3), np.nan)])
def test_collapsed_and_diverged_embeddings_score_nothing(speech):
    text = np.random.default_rng(0).normal(size=(12, 3))
    assert retrieval_recall(text, speech) == {"recall_at_1": 0.0, "recall_at_10": 0.0}


def test_recall_needs_pairs():
    with pytest.raises(ValueError, match="one text an utterance, got 2 and 3"):
        retrieval_recall(np.ones((2, 4)), np.ones((3, 4)))


def test_frames_look_at_25_ms_every_20_ms():
    np.testing.assert_allclose(frame_seconds([[0, 1], [10, 12]]), [[0, 0.025], [0.2, 0.245]])


def test_word_overlap_of_a_worked_example():
    # Two units; their words last from 0 to 0.1 s and from 0.5 to 0.6 s.
    times = np.array([[0.0, 0.1], [0.5, 0.6]])
    candidates = np.array([[0, 4], [5, 10], [25, 28], [40, 44]])
    best = np.array([[0, 4], [40, 44]])
    found = word_overlap([best], [candidates], [times])
    # Frames 5 to 9 begin at 0.1 s, when the first word is over: they do not touch it.
    assert found == {"word_overlap": 0.5, "word_overlap_chance": 0.25}


def test_chance_is_what_random_spans_give():
    generator = np.random.default_rng(1)
    starts = generator.integers(0, 90, size=40)
    candidates = np.stack([starts, starts + generator.integers(1, 8, size=40)], axis=1)
    begin = generator.uniform(0, 1.6, size=6)
    times = np.stack([begin, begin + 0.2], axis=1)
    drawn = [
        word_overlap([candidates[generator.integers(0, 40, size=6)]], [candidates], [times])
        for _ in range(2000)
    ]
    mean = np.mean([one["word_overlap"] for one in drawn])
    assert mean == pytest.approx(drawn[0]["word_overlap_chance"], abs=0.015)


def test_word_overlap_needs_units():
    with pytest.raises(ValueError, match="word times"):
        word_overlap([], [], [])


def test_units_know_their_words():
    tokenizer = text_teacher().tokenizer
    transcript = "CAT'T WALKING THE"
    assert unit_words(transcript, tokenizer) == [0, 0, 0, 1, 1, 2]
    assert unit_words(transcript, tokenizer, text_units="word") == [0, 0, 0, 1, 2]
