import dataclasses
import pathlib

import pytest
import tensorflow as tf

from experiments.slu import main
from experiments.understanding import run
from experiments.understanding.configuration import Understanding
from experiments.understanding.log_mel import LogMelEncoder
from experiments.understanding.run import load_encoder, understand
from experiments.understanding.text_encoder import TextEncoder
from tests.backend import BACKEND
from tests.experiments.understanding.small_corpora import speech, write_snips
from tests.small import text_teacher


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "text:"}, "`encoder` 'text:' names no preset"),
        ({"encoder": "log-mel", "fine_tune": True}, "'log-mel' has no weights"),
        ({"encoder": "text", "fine_tune": True}, "`fine_tune` is True, and encoder 'text' reads"),
        ({"encoder": "text:x", "cache": False}, "`cache` is False, and encoder 'text:x' reads"),
        ({"encoder": "text", "export": pathlib.Path("x")}, "`export` is x, and encoder 'text'"),
    ],
)
def test_what_a_reference_cannot_do_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Understanding("ic", **arguments)


@pytest.mark.parametrize(
    ("encoder", "preset", "folder"),
    [
        ("text", "minilm", "ic-text"),
        ("text:bert_base_en_uncased", "bert_base_en_uncased", "ic-text-bert_base_en_uncased"),
        ("text:hf://google-bert/bert-base-uncased", "hf://google-bert/bert-base-uncased",
         "ic-text-bert-base-uncased"),
        ("text:/models/bert:v2/", "/models/bert:v2/", "ic-text-bert-v2"),
        ("log-mel", None, "ic-log-mel"),
        ("./text", None, "ic-text"),
        ("runs/pad/student", None, "ic-pad"),
        ("hf://facebook/wav2vec2-base", None, "ic-wav2vec2-base"),
    ],
)  # fmt: skip
def test_names(encoder, preset, folder):
    settings = Understanding("ic", encoder=encoder)
    assert settings.text_preset == preset
    assert settings.folder == pathlib.Path("runs") / folder


@pytest.fixture(scope="module")
def text_preset(tmp_path_factory):
    """A small BERT in a folder."""
    teacher, folder = text_teacher(), tmp_path_factory.mktemp("teacher") / "small"
    teacher.backbone.save_to_preset(str(folder))
    teacher.tokenizer.save_to_preset(str(folder))
    return f"text:{folder}"


@pytest.fixture(scope="module")
def topline(text_preset, tmp_path_factory):
    settings = Understanding(
        "ic", encoder=text_preset, out=tmp_path_factory.mktemp("topline"), tiny=True
    )
    return settings, understand(settings)


def test_intents_of_text(topline):
    settings, results = topline
    assert settings.folder.name == "ic-text-small-tiny"
    assert results["test"].keys() == {"all", "seen", "unseen"}
    losses = [logs["loss"] for logs in results["heads"]["lr-0.002-seed-0"]["history"]]
    assert losses[1] < losses[0]
    # Done already.
    assert understand(settings) == results


def test_slots_of_text(text_preset, tmp_path):
    speakers = {"train": ["Ann", "Ben", "Cid", "Dan"], "valid": ["Eve"], "test": ["Flo"]}
    corpus = write_snips(tmp_path / "snips", speakers)
    settings = Understanding("sf", encoder=text_preset, data=corpus, out=tmp_path, tiny=True)
    results = understand(settings)
    assert results["test"]["all"].keys() == {"slot_type_f1", "slot_value_cer"}
    history = results["heads"]["lr-0.001-seed-0"]["history"]
    # Frames enough for the characters: a target that does not fit counts as 0.
    assert all(logs["loss"] > 0 for logs in history)


def test_a_missing_transcript_is_named_before_anything_is_written(topline, tmp_path, monkeypatch):
    settings = dataclasses.replace(topline[0], out=tmp_path)
    real = run.read_splits

    def without_text(settings):
        (splits,) = real(settings).values()
        splits.test[3] = dataclasses.replace(splits.test[3], text=None)
        return {None: splits}

    monkeypatch.setattr(run, "read_splits", without_text)
    with pytest.raises(ValueError, match="has no transcript .*take a speech encoder"):
        understand(settings)
    assert not settings.folder.exists()


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    settings = Understanding(
        "ic", encoder="log-mel", out=tmp_path_factory.mktemp("floor"), tiny=True
    )
    return settings, understand(settings)


def test_intents_of_log_mel(floor):
    settings, results = floor
    assert settings.folder.name == "ic-log-mel-tiny"
    losses = [logs["loss"] for logs in results["heads"]["lr-0.002-seed-0"]["history"]]
    assert losses[1] < losses[0]


def test_log_mel_in_every_step_gives_what_its_cached_states_give(floor, tmp_path):
    settings, whole = floor
    live = understand(dataclasses.replace(settings, cache=False, out=tmp_path))
    for found, expected in zip(
        live["heads"]["lr-0.002-seed-0"]["history"],
        whole["heads"]["lr-0.002-seed-0"]["history"],
        strict=True,
    ):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)


def test_a_head_on_log_mel_is_exported_from_tensorflow(floor):
    settings, _ = floor
    path = settings.out / "saved_model"
    settings = dataclasses.replace(settings, export=path)
    if BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="'log-mel' works with KERAS_BACKEND=tensorflow"):
            understand(settings)
        return
    understand(settings)
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    inputs = speech([4000, 2500])
    answers = serve(waveform=tf.constant(inputs["waveform"]), num_samples=tf.constant([4000, 2500]))
    assert {"action", "object", "location"} <= answers.keys()
    assert answers["action_probabilities"].numpy().sum(1) == pytest.approx(1)


def test_references_are_loaded_by_name(text_preset):
    assert isinstance(load_encoder(Understanding("ic", encoder="log-mel")), LogMelEncoder)
    encoder = load_encoder(Understanding("ic", encoder=text_preset, precision="mixed_bfloat16"))
    assert isinstance(encoder, TextEncoder)
    assert encoder.output["hidden_states"].dtype == "bfloat16"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--help"], "--encoder text"), (["ic", "--help"], "text:PRESET")],
)
def test_the_command_line_tells_of_them(arguments, told, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["slu", *arguments])
    with pytest.raises(SystemExit):
        main()
    out = capsys.readouterr().out
    assert told in out
    assert "log-mel" in out
