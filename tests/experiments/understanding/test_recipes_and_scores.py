import numpy as np
import pytest
from keras import ops

from experiments.backends import steps_at_once
from experiments.results import write_json
from experiments.statistics import mean_interval
from experiments.understanding.best_head import BestHead
from experiments.understanding.configuration import (
    RECIPES,
    Understanding,
    configurations,
)
from experiments.understanding.corpora import SNIPS_SPEAKERS, read_splits
from experiments.understanding.head import read_scores
from experiments.understanding.summaries import confusion, text_table
from experiments.understanding.tasks import Classification, SlotFilling, scores_by_part
from pad_keras.data import Utterance
from tests.backend import BACKEND
from tests.experiments.understanding.small_corpora import write_snips
from tests.small import speech_student


def test_small_heads_take_many_steps_at_once_where_that_helps():
    expected = {250: 50, 20: 20, 102: 34, 53: 1} if BACKEND == "tensorflow" else {250: 1, 20: 1}
    assert {steps: steps_at_once(steps) for steps in expected} == expected


def test_the_recipes_are_superbs():
    assert RECIPES["superb"]["ic"].updates == 200_000
    emotion = RECIPES["superb"]["er"]
    assert (emotion.batch_size, emotion.accumulation, emotion.evaluate_every) == (4, 8, 1_000)
    slots = Understanding("sf", recipe="superb").resolved_recipe
    assert (slots.projection_dim, slots.lstm_dim, slots.learning_rate) == (1024, 1024, 1e-4)
    assert configurations().keys() == {"ic", "sf", "er"}


def test_superbs_speakers_are_taken_of_audio_snips(tmp_path):
    everybody = [name for names in SNIPS_SPEAKERS.values() for name in names]
    root = write_snips(tmp_path / "all", dict.fromkeys(SNIPS_SPEAKERS, everybody))
    splits = read_splits(Understanding("sf", data=root))[None]
    assert {u.speaker for u in splits.valid} == set(SNIPS_SPEAKERS["valid"])
    # Nobody hears those whom the split leaves out.
    (root / "valid" / f"{SNIPS_SPEAKERS['train'][0]}-snips-valid-0.wav").write_bytes(b"")
    assert len(read_splits(Understanding("sf", data=root))[None].valid) == len(splits.valid)
    missing = SNIPS_SPEAKERS["test"][0]
    (root / "test" / f"{missing}-snips-test-0.wav").unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        read_splits(Understanding("sf", data=root))
    others = {"train": ["Ann"], "valid": ["Bob"], "test": ["Eve"]}
    splits = read_splits(Understanding("sf", data=write_snips(tmp_path / "other", others)))[None]
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [1, 1, 1]
    leak = {**others, "test": ["Ann"]}
    with pytest.raises(ValueError, match=r"'train' and 'test' share the speakers \['Ann'\]"):
        read_splits(Understanding("sf", data=write_snips(tmp_path / "leak", leak)))
    leak = {**others, "valid": ["Eve"]}
    with pytest.raises(ValueError, match=r"'valid' and 'test' share the speakers \['Eve'\]"):
        read_splits(Understanding("sf", data=write_snips(tmp_path / "chosen", leak)))


def test_scores_of_parts():
    task = Classification({"action": ("on", "off")})
    utterances = [
        Utterance(str(i), "", "s", 1.0, labels={"action": label}, part=part)
        for i, (label, part) in enumerate([("on", "a"), ("off", "a"), ("on", "b")])
    ]
    answers = {"action": np.array([[1.0, 0], [1.0, 0], [1.0, 0]])}
    found = scores_by_part(task, answers, utterances)
    assert {part: scores["exact_match"] for part, scores in found.items()} == pytest.approx(
        {"all": 2 / 3, "a": 0.5, "b": 1.0}
    )
    assert task.chance(utterances, utterances) == pytest.approx({"exact_match": 2 / 3})
    assert task.texts(answers) == ["on", "on", "on"]


def test_scores_that_are_no_numbers_are_read_as_they_were_written(tmp_path):
    scores = {"all": {"slot_type_f1": 0.5, "slot_value_cer": float("nan")}}
    write_json(tmp_path / "test.json", scores)
    assert repr(read_scores(tmp_path / "test.json")) == repr(scores)


def test_references_of_slots():
    task = SlotFilling({"slots": ("artist",)})
    labels = {"slots": "O artist", "intent": "Play"}
    utterance = Utterance("u", "", "s", 1.0, text="PLAY ADELE", labels=labels)
    assert task.references([utterance]) == ["PLAY B-artist ADELE E-artist"]
    scores = task.scores(["PLAY B-artist ADEL E-artist"], [utterance])
    assert scores == pytest.approx({"slot_type_f1": 1.0, "slot_value_cer": 0.2})


def test_the_best_head_is_kept(tmp_path):
    task = Classification({"action": ("on", "off")})
    model = task.build(speech_student(), RECIPES["short"]["ic"], fine_tune=False)
    model.compile()
    best = BestHead(tmp_path / "head.npz", "val_exact_match")
    best.set_model(model)
    for epoch, value in enumerate([0.5, float("nan"), 0.7, 0.7, 0.2]):
        model.classifier.bias.assign([float(epoch)] * 2)
        best.on_epoch_end(epoch, {"val_exact_match": value})
    assert (best.best, best.epoch) == (0.7, 2)
    best.load(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.classifier.bias), [2.0, 2.0])


def test_confusion_counts_right_labels_in_rows():
    counts = confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    assert counts.tolist() == [[0, 2], [0, 1]]
    assert text_table(["A"], ["B"]).splitlines()[-1] == "| A | B |"


def test_mean_and_interval():
    mean, interval = mean_interval([0.5, 0.6, 0.7])
    # t of 2 degrees of freedom is 4.303; the standard error 0.1 / sqrt(3).
    assert (mean, interval) == pytest.approx((0.6, 4.303 * 0.1 / 3**0.5), rel=1e-3)
    assert mean_interval([0.4]) == (0.4, None)
