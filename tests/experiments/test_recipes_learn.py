"""Whether the recipes learn what is there to learn: tones that an untrained encoder tells apart."""

import dataclasses

import numpy as np
import pytest
import soundfile

from experiments.understanding.configuration import RECIPES, Understanding
from experiments.understanding.run import understand
from tests.backend import BACKEND
from tests.data.corpus import tone
from tests.data.test_slu_corpora import write_fsc
from tests.small import speech_student

PITCHES = {"A": 300.0, "B": 1500.0}
# All sound alike: the recipe is tried, not the encoder.
SPEAKERS = {"train": ("s0", "s2", "s4", "s6"), "valid": ("s3",), "test": ("s5",)}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "small"
    speech_student(dim=32).save_to_preset(str(folder))
    return str(folder)


def sung(words):
    """A tone for each word, and silence between."""
    parts = [np.zeros(1_600)]
    for word in words:
        parts += [tone(0.25, frequency=PITCHES[word]), np.zeros(1_600)]
    return np.concatenate(parts)


def test_intents_are_learnt(encoder, tmp_path):
    actions = {"low": "A", "high": "B"}
    for split, speakers in SPEAKERS.items():
        rows = [(s, a, a, "sound", "none") for s in speakers for a in actions for _ in range(2)]
        write_fsc(tmp_path, split, rows)
        for number, (speaker, action, *_) in enumerate(rows):
            path = tmp_path / "wavs" / "speakers" / speaker / f"{split}{number}.wav"
            soundfile.write(path, sung(actions[action]), 16_000)
    settings = Understanding(
        "ic", encoder, tmp_path, updates=120, evaluate_every=40, batch_size=8, out=tmp_path
    )
    results = understand(dataclasses.replace(settings, learning_rates=(1e-2,)))
    assert results["chance"]["exact_match"] == 0.5
    assert results["test"]["all"]["exact_match"]["mean"] == 1.0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="takes half a minute; the same everywhere")
def test_slots_are_learnt(encoder, tmp_path, monkeypatch):
    lines = []
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            for number, words in enumerate(("AB", "BA", "A", "B", "ABA", "BAB")):
                uid = f"{speaker}-snips-{split}-{number}"
                (tmp_path / split).mkdir(exist_ok=True)
                soundfile.write(tmp_path / split / f"{uid}.wav", sung(words), 16_000)
                slots = " ".join("tone" if word == "B" else "O" for word in words)
                lines.append(f"{uid} BOS {' '.join(words)} EOS\tO {slots} Sing\n")
    (tmp_path / "all.iob.snips.txt").write_text("".join(lines))
    (tmp_path / "slots.txt").write_text("O\ntone\n")
    # Masks of up to 49 channels would hide all of this narrow encoder.
    recipe = dataclasses.replace(
        RECIPES["short"]["sf"], projection_dim=32, lstm_dim=32, spec_augment=False
    )
    monkeypatch.setitem(RECIPES["short"], "sf", recipe)
    settings = Understanding(
        "sf", encoder, tmp_path, updates=400, evaluate_every=100, batch_size=12, out=tmp_path
    )
    results = understand(dataclasses.replace(settings, learning_rates=(1e-2,)))
    test = results["test"]["all"]
    assert test["slot_type_f1"]["mean"] > 0.9
    assert test["slot_value_cer"]["mean"] < 0.1
