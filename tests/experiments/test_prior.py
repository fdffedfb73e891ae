import dataclasses
import json

import numpy as np
import pytest

from experiments import prior
from experiments.prior_measures import (
    agreement,
    anchored_words,
    frames_of_words,
    shift,
    silence_weight,
    spread,
    word_weights,
)
from tests.data.corpus import write_corpus
from tests.small import speech_student

# Frames have their middles at 0.0125 s, 0.0325 s and so on.
WORDS = frames_of_words(6, [(0.0, 0.04), (0.06, 0.1)])


def test_frames_belong_to_the_word_that_holds_their_middle():
    assert WORDS.tolist() == [
        [True, True, False, False, False, False],
        [False, False, False, True, True, False],
    ]


def test_silence_that_is_weighed_like_words_weighs_one():
    assert silence_weight(np.full(6, 1 / 6), WORDS) == pytest.approx(1)
    assert silence_weight(np.array([0.5, 0, 0, 0.5, 0, 0]), WORDS) == 0
    # A third of the frames has the whole weight.
    assert silence_weight(np.array([0, 0, 0.5, 0, 0, 0.5]), WORDS) == pytest.approx(3)
    assert np.isnan(silence_weight(np.array([1.0]), np.array([[True]])))


def test_spread():
    assert spread(np.full(4, 0.25)) == pytest.approx(1)
    assert spread(np.array([0, 1.0, 0, 0])) == pytest.approx(0.25)
    assert spread(np.array([0.5, 0.5, 0, 0])) == pytest.approx(0.5)


def test_words_with_an_anchor():
    assert anchored_words(np.array([2, 3, 4]), WORDS) == 0.5
    assert anchored_words(np.array([0, 3]), WORDS) == 1
    assert anchored_words(np.array([], int), WORDS) == 0


def test_agreement_is_of_the_order_of_words():
    text = word_weights(np.array([0.1, 0.2, 0.3, 0.4]), [0, 1, 1, 2], 3)
    assert text == pytest.approx([0.1, 0.5, 0.4])
    assert agreement(np.array([1, 9, 5]), text) == pytest.approx(1)
    assert agreement(np.array([9, 1, 5]), text) == pytest.approx(-1)
    assert np.isnan(agreement(text[:2], text[:2]))
    assert np.isnan(agreement(np.ones(3), text))


def test_shift_is_by_the_variance_between_utterances():
    plain = np.array([[0.0, 0], [2, 0]])
    assert shift(plain, plain) == 0
    assert shift(plain + [0, 3], plain) == pytest.approx(9)


def test_the_command(tmp_path, capsys):
    student = speech_student(dim=32)
    # Attention that is far from even.
    student.set_weights([5 * weight for weight in student.get_weights()])
    student.save_to_preset(str(tmp_path / "student"))
    settings = prior.Settings(
        students=(str(tmp_path / "student"),), out=tmp_path / "out", tiny=True
    )
    results = prior.main(settings)
    written = json.loads((tmp_path / "out" / "prior.json").read_text())
    assert written["students"] == results["students"]
    (measured,) = results["students"].values()
    assert all(np.isfinite(value) for value in (*measured.values(), *results["teacher"].values()))
    assert 0 < measured["spread"] <= 1
    assert "priors of speech" in capsys.readouterr().out
    # Batches of another size, with other padding, measure the same.
    again = prior.main(dataclasses.replace(settings, batch_size=3))
    for name, value in measured.items():
        assert again["students"][settings.students[0]][name] == pytest.approx(value, abs=1e-4)
    # The attention of other layers makes other priors.
    last = prior.main(dataclasses.replace(settings, student_layers=(-1,), teacher_layers=(0,)))
    for found, other in (
        (last["students"][settings.students[0]], measured),
        (last["teacher"], results["teacher"]),
    ):
        assert found["spread"] != pytest.approx(other["spread"], rel=1e-3)


def test_speech_without_word_times_is_refused(tmp_path):
    write_corpus(tmp_path / "speech", 1, subset="valid")
    with pytest.raises(ValueError, match=r"No utterance in .* has word times; add words\.tsv"):
        prior.main(prior.Settings(root=tmp_path / "speech"))


def test_a_student_must_be_named():
    with pytest.raises(ValueError, match="`students` is empty"):
        prior.main(prior.Settings(students=()))
