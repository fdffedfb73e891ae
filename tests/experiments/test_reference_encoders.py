"""The two encoders that bound a comparison: log-mel, the floor, and text, the topline."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from experiments.slu import main
from experiments.understanding import log_mel, run
from experiments.understanding.configuration import Understanding
from experiments.understanding.log_mel import LogMelEncoder, deltas, mel_filters
from experiments.understanding.run import load_encoder, understand
from experiments.understanding.text_encoder import TextEncoder
from pad_keras.data import HiddenStateCache, StaleCacheError, TextTokenizer, Utterance
from pad_keras.models import UtteranceClassifier
from tests.backend import BACKEND, numpy_of
from tests.experiments.test_slu import write_snips
from tests.small import text_teacher, utterances

PHRASES = utterances(6)


def speech(lengths, seed=3):
    """Noise that comes and goes, padded with what must not matter."""
    generator = np.random.default_rng(seed)
    width = max(lengths)
    waveform = np.full((len(lengths), width), np.nan, "float32")
    for row, length in enumerate(lengths):
        loudness = 10 ** generator.uniform(-4, 0, size=-(-length // 500)).repeat(500)[:length]
        waveform[row, :length] = 0.1 * loudness * generator.normal(size=length) + 0.02
    return {"waveform": waveform, "padding_mask": np.arange(width) < np.array(lengths)[:, None]}


def mel(hz):
    return 1127 * np.log(1 + hz / 700)


def slow_log_mel(waveform):
    """80 log-mel filters, frame by frame and filter by filter, in float64."""
    waveform = np.asarray(waveform, "float64")
    waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    hz = np.arange(257) * 16_000 / 512
    corners = np.linspace(mel(20), mel(8000), 82)
    frames = []
    for start in range(0, len(waveform) - 399, 320):
        spectrum = np.fft.fft(waveform[start : start + 400] * window, 512)[:257]
        power = np.abs(spectrum) ** 2 / np.sum(window**2)
        row = []
        for low, centre, high in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
            weights = np.array(
                [
                    max(0, min((mel(f) - low) / (centre - low), (high - mel(f)) / (high - centre)))
                    for f in hz
                ]
            )
            row.append(np.log(max(1e-6, np.sum(weights * power) / np.sum(weights))))
        frames.append(row)
    return np.array(frames)


def slow_deltas(x):
    found = np.zeros_like(x)
    for t in range(len(x)):
        for step in (1, 2):
            after, before = min(t + step, len(x) - 1), max(t - step, 0)
            found[t] += step * (x[after] - x[before]) / 10
    return found


def test_log_mel_is_that_of_a_slow_loop():
    inputs = speech([4000, 6100, 3000])
    outputs = numpy_of(LogMelEncoder()(inputs))
    for row, length in enumerate([4000, 6100, 3000]):
        static = slow_log_mel(inputs["waveform"][row, :length])
        slopes = slow_deltas(static)
        expected = np.concatenate(
            [(static + 7) / 5, slopes / 1.1, slow_deltas(slopes) / 0.5], axis=-1
        )
        assert np.ptp(static) > 5
        assert (static == np.log(1e-6)).mean() < 0.5
        found = outputs["sequence_output"][row]
        np.testing.assert_allclose(found[: len(expected)], expected, atol=2e-3)
        np.testing.assert_array_equal(found[len(expected) :], 0)
        np.testing.assert_array_equal(outputs["mask"][row], np.arange(len(found)) < len(expected))
        assert outputs["significance"][row, : len(expected)] == pytest.approx(1 / len(expected))


def test_log_mel_gives_an_utterance_the_same_alone_and_in_a_batch():
    encoder = LogMelEncoder()
    lengths = [4000, 6100, 900]
    batch = speech(lengths)
    together = encoder.predict_on_batch(batch)
    assert together["hidden_states"].shape == (3, 1, 18, 240)
    np.testing.assert_allclose(together["significance"].sum(1), 1, rtol=1e-5)
    for row, length in enumerate(lengths):
        alone = numpy_of(encoder({k: v[row : row + 1, :length] for k, v in batch.items()}))
        assert alone["mask"].all()
        count = alone["mask"].shape[1]
        for name, axis in (("sequence_output", 0), ("hidden_states", 1), ("significance", 0)):
            found = np.take(together[name][row], range(count), axis=axis)
            # JAX sums in another order for another width.
            np.testing.assert_allclose(found, alone[name][0], atol=1e-4)


def test_the_floor_is_not_blind_and_recording_level_is_no_cue():
    """The mean over frames, which is all that a linear head sees, tells utterances apart."""
    encoder = LogMelEncoder()
    inputs = speech([4000, 4000])
    first, second = numpy_of(encoder(inputs))["sequence_output"][:, :, :80].mean(1)
    assert np.abs(first - second).max() > 0.1
    louder = {**inputs, "waveform": 3 * inputs["waveform"]}
    again = numpy_of(encoder(louder))["sequence_output"][0, :, :80].mean(0)
    np.testing.assert_allclose(again, first, atol=1e-3)


def test_log_mel_stays_float32_under_any_policy():
    expected = numpy_of(LogMelEncoder()(speech([2000])))["hidden_states"]
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = LogMelEncoder()(speech([2000]))["hidden_states"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)


def test_log_mel_is_rebuilt_from_its_config_with_its_head():
    encoder = LogMelEncoder(num_mels=20, hop=160, fft_length=1024, lowest_hz=60.0)
    head = UtteranceClassifier(encoder, {"action": ("on", "off")}, projection_dim=4)
    again = UtteranceClassifier.from_config(head.get_config())
    assert again.backbone.get_config() == encoder.get_config()
    inputs = speech([2000])
    for name, values in numpy_of(encoder(inputs)).items():
        np.testing.assert_array_equal(values, numpy_of(again.backbone(inputs))[name])


def test_arguments_of_log_mel_are_checked():
    with pytest.raises(ValueError, match="`num_mels` is 300, too many for `fft_length` 512"):
        mel_filters(300, 512, 20.0)
    with pytest.raises(ValueError, match="has 399 samples; one frame needs at least 400"):
        LogMelEncoder()(speech([399]))


def test_a_delta_is_the_slope():
    found = ops.convert_to_numpy(
        deltas(np.arange(7.0, dtype="float32")[None, :, None], np.array([7]))
    )
    assert found[0, 2:5, 0] == pytest.approx(1)
    assert log_mel.DELTA_REACH == 2


def states_of(cache, utterance):
    return cache.read(str(cache.path(utterance))).numpy()


def test_text_states_are_those_of_the_teacher_at_each_layer(tmp_path):
    encoder = TextEncoder(text_teacher(), repeats=3)
    cache = HiddenStateCache.build(encoder, PHRASES, tmp_path, dtype="float32", batch_size=4)
    # Without audio: the utterances have none.
    tokens = TextTokenizer.for_utterances(encoder.tokenizer, PHRASES)
    tokens = tokens(None, tf.constant([utterance.text for utterance in PHRASES]))
    tokens = {name: np.asarray(tensor) for name, tensor in tokens.items()}
    for layer in (0, 1, 2):
        units = numpy_of(text_teacher(layer=layer)(tokens))
        for row, utterance in enumerate(PHRASES):
            pieces = units["embeddings"][row, units["mask"][row]]
            assert len(pieces) >= len(utterance.text.split())
            found = states_of(cache, utterance)
            assert found.shape[:2] == (3, 3 * len(pieces))
            np.testing.assert_allclose(found[layer], pieces.repeat(3, axis=0), atol=1e-5)


def test_the_mean_of_text_states_is_that_of_the_pieces(tmp_path):
    once, often = (
        HiddenStateCache.build(
            TextEncoder(text_teacher(), repeats=n), PHRASES, tmp_path / str(n), pooled=True
        )
        for n in (1, 12)
    )
    for utterance in PHRASES:
        np.testing.assert_allclose(
            states_of(once, utterance), states_of(often, utterance), atol=1e-6
        )


def test_changed_text_is_encoded_anew(tmp_path):
    encoder = TextEncoder(text_teacher())
    cache = HiddenStateCache.build(encoder, PHRASES, tmp_path)
    changed = [dataclasses.replace(PHRASES[0], text="dog"), *PHRASES[1:]]
    with pytest.raises(StaleCacheError, match="'u0' with its present text"):
        cache.check(changed)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("??/*.bin")}
    HiddenStateCache.build(encoder, changed, tmp_path).check(changed)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("??/*.bin")}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("weights", lambda: TextEncoder(text_teacher(seed=7))),
        ("configuration", lambda: TextEncoder(text_teacher(), repeats=2)),
        ("configuration", lambda: TextEncoder(text_teacher(exact_gelu=False))),
    ],
)
def test_states_of_another_text_encoder_are_made_anew(tmp_path, what, changed, caplog):
    HiddenStateCache.build(TextEncoder(text_teacher()), PHRASES[:1], tmp_path)
    HiddenStateCache.build(TextEncoder(text_teacher()), PHRASES[:1], tmp_path)
    assert not caplog.records
    HiddenStateCache.build(changed(), PHRASES[:1], tmp_path)
    assert f"are of another encoder ({what})" in caplog.text


@pytest.mark.parametrize("text", [None, "", "  "])
def test_an_utterance_without_a_transcript_is_named(text, tmp_path):
    silent = [*PHRASES, Utterance("silent", "silent.wav", "s", 1.0, text)]
    with pytest.raises(ValueError, match="'silent' has no transcript"):
        HiddenStateCache.build(TextEncoder(text_teacher()), silent, tmp_path)


def test_arguments_of_the_text_encoder_are_checked():
    with pytest.raises(ValueError, match="`repeats` must be at least 1, got 0"):
        TextEncoder(text_teacher(), repeats=0)
    teacher = text_teacher()
    teacher.tokenizer = None
    with pytest.raises(ValueError, match="`teacher` has no tokenizer"):
        TextEncoder(teacher)
    long = dataclasses.replace(PHRASES[0], text="cat " * 47)
    with pytest.raises(ValueError, match="'u0' has 47 word pieces, .* at most 46"):
        TextEncoder(text_teacher()).check([long])


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
