import collections
import pathlib

import numpy as np
import pytest
import soundfile

from experiments.corpora.alignment_sentences import DOMAINS, RULES, reads_well
from experiments.corpora.grammar import Grammar, agree_articles, sample_sentences
from experiments.corpora.layout import normalized_loudness, plan_items
from experiments.corpora.make_alignment import COUNTS, SEED, sentences_by_split
from experiments.distillation.configuration import EMBEDDED_CORPUS
from pad_keras.data import check_disjoint_speakers, librispeech, total_hours

SPEAKERS = {"train": 20, "valid": 4, "test": 4}


@pytest.fixture(scope="module")
def corpora():
    return {name: librispeech(EMBEDDED_CORPUS, hours=None, subsets=(name,)) for name in COUNTS}


def test_the_embedded_corpus_is_whole(corpora):
    for name, utterances in corpora.items():
        assert len(utterances) == COUNTS[name]
        assert len({utterance.speaker for utterance in utterances}) == SPEAKERS[name]
    check_disjoint_speakers(**corpora)
    assert 25 <= 60 * sum(total_hours(utterances) for utterances in corpora.values()) <= 35


def test_no_sentence_stands_in_two_splits(corpora):
    texts = [utterance.text for utterances in corpora.values() for utterance in utterances]
    assert len(set(texts)) == len(texts)


def test_it_is_what_the_script_plans(corpora):
    planned = plan_items(sentences_by_split(), SEED)
    said = {u.id: u.text for utterances in corpora.values() for u in utterances}
    assert {item.uid: item.text for item in planned} == said


def test_speakers_say_alike_much(corpora):
    for utterances in corpora.values():
        counts = collections.Counter(utterance.speaker for utterance in utterances).values()
        assert max(counts) - min(counts) <= 1


def test_word_times_fit_the_audio(corpora):
    for utterances in corpora.values():
        for utterance in utterances:
            assert [word.word for word in utterance.words] == utterance.text.split()
            edges = np.array([(word.start, word.end) for word in utterance.words])
            assert (edges[:, 0] < edges[:, 1]).all(), utterance.id
            assert (edges[:-1, 1] <= edges[1:, 0] + 1e-6).all(), utterance.id
            assert edges[0, 0] >= 0
            assert edges[-1, 1] <= utterance.seconds, utterance.id


def test_words_are_louder_than_the_silence_around_them(corpora):
    inside, outside = [], []
    for utterance in corpora["valid"][::8]:
        waveform, rate = soundfile.read(utterance.audio)
        assert rate == 16_000
        times = np.arange(len(waveform)) / rate
        spoken = np.zeros(len(waveform), bool)
        for word in utterance.words:
            spoken |= (times >= word.start) & (times < word.end)
        inside.append(np.mean(waveform[spoken] ** 2))
        outside.append(np.mean(waveform[~spoken] ** 2))
    assert np.mean(inside) > 5 * np.mean(outside)


def test_it_is_small():
    size = sum(path.stat().st_size for path in pathlib.Path(EMBEDDED_CORPUS).rglob("*.ogg"))
    assert size < 12e6


def test_sentences_are_reproducible_and_differ():
    draw = [sample_sentences(Grammar(RULES), list(DOMAINS), 60, 1, reads_well) for _ in range(2)]
    assert draw[0] == draw[1]
    assert len(set(draw[0])) == 60
    assert draw[0] != sample_sentences(Grammar(RULES), list(DOMAINS), 60, 2, reads_well)


@pytest.mark.parametrize(
    ("written", "right"),
    [("a apple", "an apple"), ("an dog", "a dog"), ("a hour", "an hour"), ("a unit", "a unit")],
)
def test_articles_agree(written, right):
    assert agree_articles(written) == right


def test_loudness_is_alike_and_never_clips():
    quiet = 1e-3 * np.sin(np.arange(16_000) / 5)
    click = np.zeros(16_000)
    click[100] = 0.5
    assert np.sqrt(np.mean(normalized_loudness(quiet) ** 2)) == pytest.approx(0.06, rel=0.05)
    assert np.abs(normalized_loudness(click)).max() <= 0.95 + 1e-6
