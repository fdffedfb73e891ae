"""The paper's protocol in miniature: trees and checkpoints in the real layouts."""

import dataclasses
import json
import os

import numpy as np
import pytest

from experiments import reproduce_paper
from experiments.comparison.configuration import UNDISTILLED
from experiments.paper.cost import Work, rows
from experiments.paper.superb import PUBLISHED, PUBLISHED_NAME, as_superb_hears, beside_superb
from experiments.reproduce_paper import ReproducePaper
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND
from tests.data.corpus import write_corpus
from tests.data.test_slu_corpora import write_audio, write_fsc
from tests.small import speech_student

BERT_VOCABULARY = 30_522
# In the suite all parts of the architectures are there, but few and narrow. With the environment
# variable set they are whole: 94 and 110 million weights, for which there should be 8 GB of memory
# and, on two cores, a quarter of an hour.
WHOLE = bool(os.environ.get("PAD_KERAS_WHOLE_CHECKPOINTS"))
FEW = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 96}
STUDENT, TEACHER = ({}, {}) if WHOLE else ({**FEW, "conv_dim": (32,) * 7}, FEW)
COMMANDS = (
    ("Turn up the heat", "increase", "heat", "none"),
    ("Lights on in the kitchen", "activate", "lights", "kitchen"),
    ("Bring me my shoes", "bring", "shoes", "none"),
)


def write_intents(root):
    speakers = {"train": ("s1", "s2"), "valid": ("s3",), "test": ("s4",)}
    for split, names in speakers.items():
        write_fsc(root, split, [(name, *row) for name in names for row in COMMANDS])


def write_slots(root):
    lines = []
    for split, speakers in {"train": ("Joey", "Ivy"), "valid": ("Amy",), "test": ("Emma",)}.items():
        for speaker in speakers:
            uid = f"{speaker}-snips-{split}-0"
            write_audio(root / split / speaker / f"{uid}.wav", seconds=0.6)
            lines.append(f"{uid} BOS ADD ADELE EOS\tO O artist AddToPlaylist")
    (root / "all.iob.snips.txt").write_text("\n".join(lines) + "\n")
    (root / "slots.txt").write_text("O\nartist\nplaylist\n")


def write_emotions(root):
    for session in range(1, 6):
        folder = root / f"Session{session}"
        dialog = f"Ses0{session}F_impro01"
        lines = []
        for turn, emotion in enumerate(("neu", "exc", "ang", "sad")):
            uid = f"{dialog}_{'FM'[turn % 2]}00{turn}"
            write_audio(folder / "sentences" / "wav" / dialog / f"{uid}.wav")
            lines.append(f"[6.29 - 8.23]\t{uid}\t{emotion}\t[2.5, 2.5, 2.5]")
        (folder / "dialog" / "EmoEvaluation").mkdir(parents=True)
        (folder / "dialog" / "EmoEvaluation" / f"{dialog}.txt").write_text("\n".join(lines))
        # The topline reads what was said.
        (folder / "dialog" / "transcriptions").mkdir()
        said = "\n".join(f"{line.split()[3]} [006.29-008.23]: Excuse me." for line in lines)
        (folder / "dialog" / "transcriptions" / f"{dialog}.txt").write_text(said)


def write_checkpoints(root, student_changes, teacher_changes):
    """Random weights in the architectures of wav2vec2-base and bert-base-uncased, or changed."""
    import transformers

    student = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**student_changes))
    student.save_pretrained(root / "wav2vec2-base")
    # As the hub has it beside base's weights, which were trained on waveforms as they are.
    preprocessor = '{"do_normalize": true, "sampling_rate": 16000}'
    (root / "wav2vec2-base" / "preprocessor_config.json").write_text(preprocessor)
    teacher = transformers.BertModel(transformers.BertConfig(**teacher_changes))
    teacher.save_pretrained(root / "bert-base-uncased")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [prefix + chr(97 + letter) for prefix in ("", "##") for letter in range(26)]
    pieces += [f"[unused{number}]" for number in range(BERT_VOCABULARY - len(pieces))]
    (root / "bert-base-uncased" / "vocab.txt").write_text("\n".join(pieces) + "\n")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    speech = root / "LibriSpeech"
    for first, subset in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        count = 2 if first == 0 else 1
        write_corpus(speech, count, subset=subset, first=10 * first, step=0)
    write_intents(root / "fsc")
    write_slots(root / "snips")
    write_emotions(root / "iemocap")
    return ReproducePaper(
        librispeech=speech,
        fsc=root / "fsc",
        snips=root / "snips",
        iemocap=root / "iemocap",
        student=str(root / "wav2vec2-base"),
        teacher=str(root / "bert-base-uncased"),
        precision="float32",
        out=root / "out",
        tiny=True,
    )


def test_the_protocol_in_miniature(settings, monkeypatch, capsys):
    if BACKEND != "tensorflow":
        pytest.skip("the whole protocol is run once")
    write_checkpoints(settings.librispeech.parent, STUDENT, TEACHER)
    planned = reproduce_paper.main(dataclasses.replace(settings, plan=True))
    folder = settings.comparison().folder
    assert not (folder / "paper.json").exists()
    assert planned["speeds"].keys() == {"distil", "encode", "ic", "sf", "er"}
    assert all(value > 0 for value in planned["speeds"].values())
    assert "and what it takes on this machine" in capsys.readouterr().out
    weights = planned["sizes"]["student"] / 4
    assert 94e6 < weights < 95e6 if WHOLE else weights < 1e6
    work = {one["name"]: one for one in planned["work"]}
    assert work["distillations"]["times"] == 1
    # Slot fillers run the encoder in each step, and the others need its mean frames.
    assert {"hidden states for IC", "heads of SF, encoder in each step"} <= work.keys()
    assert "hidden states for SF" not in work

    results = reproduce_paper.main(settings)
    assert results == json.loads((folder / "paper.json").read_text())
    assert list(results["encoders"]) == [UNDISTILLED, "log-mel", "text", "joint"]
    for name, encoder in results["encoders"].items():
        assert {"ic", "sf_f1", "sf_cer", "er"} <= encoder["table"].keys(), name
    assert results["jobs"]["done"] == results["jobs"]["planned"]
    text = (folder / "superb.md").read_text()
    assert f"| {PUBLISHED_NAME} | 92.35 | 88.30 | 24.77 | 63.43 |" in text
    assert "| joint |" in text

    before = Wav2Vec2Backbone.from_preset(str(folder / "undistilled"))
    assert not before.normalize_waveform

    # Nothing is left to do, and the plan says so.
    capsys.readouterr()
    again = reproduce_paper.main(dataclasses.replace(settings, plan=True))
    assert again["work"] == []


def test_waveforms_are_normalised_where_superb_does():
    base = speech_student(conv_norm="group", normalize_waveform=True)
    changed = as_superb_hears(base)
    assert not changed.normalize_waveform
    for ours, theirs in zip(changed.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for unchanged in (changed, speech_student(conv_norm="layer", normalize_waveform=True)):
        assert as_superb_hears(unchanged) is unchanged


def test_what_is_broken_is_left_out_of_all_corpora(settings):
    comparison = dataclasses.replace(settings, on_error="skip").comparison()
    assert comparison.data.on_error == "skip"
    for task in comparison.tasks:
        assert comparison.heads(task, "encoder", "name").on_error == "skip"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fsc": None, "snips": None, "iemocap": None}, ValueError, "at least one of --fsc"),
        ({"methods": ("pad",)}, ValueError, "`methods` must be different ones"),
        ({"librispeech": "nowhere"}, FileNotFoundError, "no folder 'nowhere'"),
        ({"fsc": "nowhere"}, FileNotFoundError, "no folder 'nowhere'"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(changes, error, message, settings, tmp_path):
    paths = {
        name: type(tmp_path)(value) if value == "nowhere" else value
        for name, value in changes.items()
    }
    with pytest.raises(error, match=message):
        dataclasses.replace(settings, **paths).comparison()


def test_tasks_are_those_whose_corpora_are_given(settings):
    comparison = dataclasses.replace(settings, snips=None, iemocap=None, tiny=False).comparison()
    assert comparison.tasks == ("ic",)
    assert comparison.ic.data == settings.fsc
    assert comparison.recipe == "superb"
    assert comparison.data.hours == 10
    assert comparison.heads("ic", "encoder", "x").resolved_recipe.updates == 200_000


def test_costs_add_up():
    found = [
        Work("a", 3, 2.0, "epochs", 1800.0, kept_bytes=4_000_000_000, passing_bytes=10**9),
        Work("b", 1, 100_000, "updates", 0.036, passing_bytes=2 * 10**9),
    ]
    assert [work.hours for work in found] == pytest.approx([3.0, 1.0])
    table = rows(found)
    assert table[0] == ["a", 3, "2.00 epochs", "3.00", "12.00", "1.00"]
    assert table[1] == ["b", 1, "100,000 updates", "1.00", "0.00", "2.00"]
    # What passes does not add up.
    assert table[2] == ["all", "", "", "4.00", "12.00", "2.00"]


def test_superbs_row_stands_above_what_was_measured():
    estimate = {"mean": 0.5, "interval": 0.01}
    summary = {"encoders": {"x": {"table": {"ic": estimate}}, "empty": {"table": {}}}}
    table = beside_superb(summary)
    assert table.columns == ["encoder", "IC accuracy"]
    assert table.rows == [[PUBLISHED_NAME, f"{PUBLISHED['ic']:.2f}"], ["x", "50.00 ± 1.00"]]
