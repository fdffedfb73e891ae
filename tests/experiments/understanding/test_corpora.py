import collections
import random
import types

import numpy as np
import pytest

from experiments.corpora import emotion_sentences, intent_sentences, slot_sentences
from experiments.corpora import understanding_layout as layout
from experiments.corpora.coverage import coverage, coverages
from experiments.corpora.leakage import leaked_accuracy, mean_pitch
from experiments.distillation.configuration import EMBEDDED_CORPUS
from experiments.understanding.configuration import EMBEDDED_CORPORA
from pad_keras.data import (
    EMOTIONS,
    audio_snips,
    check_disjoint_speakers,
    fluent_speech_commands,
    iemocap,
    iemocap_fold,
    label_ids,
    label_names,
    slot_targets,
)
from pad_keras.models import SlotVocabulary
from tests.backend import BACKEND

SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def intents():
    return {split: fluent_speech_commands(EMBEDDED_CORPORA["ic"], split) for split in SPLITS}


@pytest.fixture(scope="module")
def slots():
    return {split: audio_snips(EMBEDDED_CORPORA["sf"], split) for split in SPLITS}


@pytest.fixture(scope="module")
def emotions():
    return iemocap(EMBEDDED_CORPORA["er"])


@pytest.mark.parametrize("task", ["ic", "sf", "er"])
def test_a_corpus_is_what_the_script_plans(task):
    root = EMBEDDED_CORPORA[task]
    corpus = getattr(layout, root.name)()
    for path, text in corpus.files.items():
        assert (root / path).read_text(encoding="utf-8") == text, path
    there = {str(path.relative_to(root)) for path in root.rglob("*.ogg")}
    assert there == {script.path for script in corpus.scripts}


def test_intents_are_whole(intents):
    counts = {split: len(utterances) for split, utterances in intents.items()}
    assert counts == {"train": 400, "valid": 100, "test": 400}
    check_disjoint_speakers(**intents)
    texts = [u.text for utterances in intents.values() for u in utterances]
    assert len(set(texts)) == len(texts)
    names = label_names(intents["train"])
    for utterances in intents.values():
        assert set(label_ids(utterances, names)) == {"action", "object", "location"}
        classes = collections.Counter(tuple(u.labels.values()) for u in utterances)
        assert len(classes) == len(intent_sentences.INTENTS)
        assert max(classes.values()) - min(classes.values()) <= 2


def test_unseen_wordings_are_in_no_training_sentence(intents):
    parts = {split: {u.part for u in utterances} for split, utterances in intents.items()}
    assert parts == {"train": {"seen"}, "valid": {"seen"}, "test": {"seen", "unseen"}}
    said = [utterance.text.lower() for utterance in intents["train"]]
    for intent in intent_sentences.INTENTS:
        for wording in intent_sentences.wordings(intent, "unseen"):
            wording = " ".join(wording.split())
            assert not any(wording in text for text in said), wording


def test_intents_cannot_be_told_from_length_and_voice(intents):
    if BACKEND != "tensorflow":
        pytest.skip("no backend is involved")
    accuracy, most_frequent = leaked_accuracy(intents["train"], intents["test"])
    # 1 of 32 is 0.031, with a standard deviation of 0.009 on 400 utterances.
    assert accuracy < 0.031 + 4 * 0.009
    assert most_frequent < 0.05


def test_coverage_counts_words_once_and_as_they_occur():
    train = [types.SimpleNamespace(text="turn it on")]
    test = [types.SimpleNamespace(text=text) for text in ("TURN it off", "turn on the light")]
    assert coverage(train, test) == (3 / 6, 4 / 7)
    assert coverage(test, test) == (1, 1)


def test_all_training_sentences_together_have_more_of_the_words():
    shares = {(training, task): share for training, task, share, _ in coverages()}
    for task in ("intents", "slots"):
        assert 0 < shares["alignment", task] < shares["all three", task] < 1


@pytest.mark.parametrize("frequency", [90.0, 220.0])
def test_pitch_is_found(frequency):
    seconds = np.arange(16_000) / 16_000
    wave = sum(np.sin(2 * np.pi * harmonic * frequency * seconds) for harmonic in (1, 2, 3))
    assert mean_pitch(wave, 16_000) == pytest.approx(frequency, rel=0.03)
    assert mean_pitch(np.zeros(16_000), 16_000) == 0


def test_slots_are_whole(slots):
    counts = {split: len(utterances) for split, utterances in slots.items()}
    assert counts == {"train": 400, "valid": 100, "test": 300}
    check_disjoint_speakers(**slots)
    texts = [u.text for utterances in slots.values() for u in utterances]
    assert len(set(texts)) == len(texts)
    vocabulary = SlotVocabulary.read(EMBEDDED_CORPORA["sf"] / "slots.txt")
    assert len(vocabulary.slots) >= 12
    for utterances in slots.values():
        assert (slot_targets(utterances, vocabulary)["length"] > 0).all()
        used = {slot for u in utterances for slot in u.labels["slots"].split()}
        assert used == {"O", *vocabulary.slots}


def test_some_values_are_new_in_test(slots):
    text = {split: " ".join(u.text for u in utterances) for split, utterances in slots.items()}
    for known, new in slot_sentences.VALUES.values():
        for value in new:
            assert value.upper() not in text["train"]
        assert set(known).isdisjoint(new)
    values = [value for _, new in slot_sentences.VALUES.values() for value in new]
    assert sum(value.upper() in text["test"] for value in values) > 0.8 * len(values)


def test_emotions_are_whole(emotions):
    classes = collections.Counter(utterance.labels["emotion"] for utterance in emotions)
    assert classes == dict.fromkeys(EMOTIONS, 10 * layout.LINES_PER_EMOTION)
    assert len({utterance.speaker for utterance in emotions}) == 10
    for fold in range(1, 6):
        splits = iemocap_fold(emotions, fold)
        check_disjoint_speakers(splits["train"], test=splits["test"])
        assert len(splits["test"]) == 8 * layout.LINES_PER_EMOTION


def test_half_of_the_lines_tell_nothing_by_their_words(emotions):
    said = collections.defaultdict(set)
    for utterance in emotions:
        said[utterance.text].add(utterance.labels["emotion"])
    shared = [len(found) for found in said.values() if len(found) > 1]
    assert len(shared) >= 10
    assert emotion_sentences.draw(4, random.Random(1)) == emotion_sentences.draw(
        4, random.Random(1)
    )


def test_all_embedded_corpora_together_are_small():
    roots = [EMBEDDED_CORPUS, *EMBEDDED_CORPORA.values()]
    size = sum(path.stat().st_size for root in roots for path in root.rglob("*.ogg"))
    assert size < 36e6
