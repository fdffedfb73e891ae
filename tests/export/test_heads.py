import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pad_keras import export_saved_model
from pad_keras.export.heads import slot_list
from pad_keras.metrics import slot_spans
from pad_keras.models import SlotFiller, SlotVocabulary, UtteranceClassifier
from tests.backend import BACKEND, numpy_of
from tests.export.test_encoder import call, saved_model_cli, waveforms
from tests.export.test_wav import wav
from tests.small import speech_student

LABELS = {"action": ("on", "off"), "object": ("light", "heat", "music")}
ASK_ALONE = """
import sys
sys.modules["pad_keras"] = sys.modules["keras"] = None
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serve_wav"]
outputs = serve(contents=tf.constant([open(sys.argv[2], "rb").read()]))
assert "tensorflow_io" not in sys.modules
print(*[value.numpy()[0].decode() for value in outputs.values() if value.dtype == tf.string])
"""


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(4)
    return UtteranceClassifier(speech_student(), LABELS, projection_dim=8)


@pytest.fixture(scope="module")
def intents(classifier, tmp_path_factory):
    return export_saved_model(classifier, tmp_path_factory.mktemp("export") / "intents")


@pytest.fixture(scope="module")
def filler():
    keras.utils.set_random_seed(5)
    model = SlotFiller(speech_student(), ["artist", "city"], projection_dim=8, lstm_dim=6)
    for weight in model.trainable_variables:
        # Weights as initialised would write the same token in every frame.
        noise = np.random.default_rng(1).normal(size=weight.shape)
        weight.assign(3.0 * ops.convert_to_numpy(weight) + 0.3 * noise)
    return model


@pytest.fixture(scope="module")
def slots(filler, tmp_path_factory):
    return export_saved_model(filler, tmp_path_factory.mktemp("export") / "slots")


def speech(waveform, lengths):
    mask = np.arange(waveform.shape[1]) < lengths[:, None]
    return {"waveform": waveform, "padding_mask": mask}


def test_labels_and_probabilities(classifier, intents):
    signatures = tf.saved_model.load(str(intents)).signatures
    waveform, lengths = waveforms(9000, 1600, 5000)
    served = call(signatures["serving_default"], waveform, lengths)
    logits = numpy_of(classifier(speech(waveform, lengths)))
    for group, names in LABELS.items():
        probabilities = served[f"{group}_probabilities"]
        expected = np.exp(logits[group]) / np.exp(logits[group]).sum(1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        best = [names[index].encode() for index in probabilities.argmax(1)]
        assert served[group].tolist() == best
    names = {group: values.numpy().tolist() for group, values in signatures["labels"]().items()}
    assert names == {group: [n.encode() for n in values] for group, values in LABELS.items()}


def test_slots_are_those_that_the_model_writes(filler, slots):
    signatures = tf.saved_model.load(str(slots)).signatures
    waveform, lengths = waveforms(16000, 1600, 9000)
    served = call(signatures["serving_default"], waveform, lengths)
    texts = filler.texts(numpy_of(filler(speech(waveform, lengths))))
    assert any(texts)
    assert [text.decode() for text in served["text"]] == texts
    assert ((served["confidence"] > 0) & (served["confidence"] <= 1)).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PLAY ADELE",
        "PLAY B-artist ADELE E-artist",
        "B-artist ADELE E-artist IN B-city NEW  YORK E-city NOW",
        "B-city ROME E-city_name",
        "B-artist ADELE E-city",
        "B-artist ADELE",
        "E-artist B-artist X E-artist",
        "B-artist X E-artistB-city ROME E-city",
    ],
)
def test_the_list_of_slots_is_that_of_the_metric(text):
    expected = "; ".join(f"{kind}: {value}" for kind, value in slot_spans(text))
    found = slot_list(tf.constant([text]), ["artist", "city"]).numpy()[0].decode()
    assert found == expected


def test_the_list_of_slots_is_clean_whatever_was_written():
    vocabulary = SlotVocabulary(["artist", "city", "city_name"])
    generator = np.random.default_rng(7)
    # Unknown, space, two letters, and markers in any order.
    tokens = [2, 3, 4, 5, *range(len(vocabulary) - 6, len(vocabulary))]
    texts = [vocabulary.decode(generator.choice(tokens, size=20)) for _ in range(300)]

    def clean(value):
        return re.sub(r"B-\S+ ?| ?E-\S+", "", f" {value}")[1:]

    slots = [[(kind, clean(value)) for kind, value in slot_spans(text)] for text in texts]
    expected = ["; ".join(f"{k}: {v}" for k, v in found if v.strip()) for found in slots]
    assert sum(map(bool, expected)) > 50
    found = slot_list(tf.constant(texts), vocabulary.slots).numpy()
    assert [text.decode() for text in found] == expected


def test_wav_bytes_are_served_as_waveforms(intents):
    signatures = tf.saved_model.load(str(intents)).signatures
    waveform, lengths = waveforms(9000, 5000)
    rows = zip(waveform, lengths, strict=True)
    contents = tf.constant([wav(row[:length], subtype="FLOAT") for row, length in rows])
    for of_bytes, of_waveforms in (("serve_wav", "serving_default"), ("embed_wav", "embed")):
        served = signatures[of_bytes](contents=contents)
        expected = call(signatures[of_waveforms], waveform, lengths)
        assert served.keys() == expected.keys()
        for name, value in served.items():
            np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "empty"),
        (b"no audio at all, but bytes" * 9, "no WAV file"),
        (wav(np.zeros(8000), 9_600), "9600 Hz"),
        (wav(np.zeros(100)), "Too short"),
        (wav(np.full(4000, np.nan), subtype="FLOAT"), "NaN or infinity"),
    ],
    ids=["empty", "not audio", "another rate", "too short", "NaN"],
)
def test_broken_wav_is_refused_and_the_next_call_works(intents, contents, message):
    serve = tf.saved_model.load(str(intents)).signatures["serve_wav"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(contents=tf.constant([contents]))
    assert serve(contents=tf.constant([wav(np.zeros(4000))]))["action"].shape == (1,)


def test_tensorflow_alone_serves_a_file(intents, tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(waveforms(8000)[0][0]))
    command = [sys.executable, "-c", ASK_ALONE, str(intents), str(tmp_path / "a.wav")]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert not told.returncode, told.stderr[-2000:]
    action, thing = sorted(told.stdout.split(), key=lambda word: word not in LABELS["action"])
    assert action in LABELS["action"]
    assert thing in LABELS["object"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TFSMLayer is of Keras on TensorFlow")
def test_is_a_layer_of_keras_that_takes_files(intents):
    contents = tf.constant([wav(waveforms(8000)[0][0])])
    layer = keras.layers.TFSMLayer(intents, call_endpoint="serve_wav")
    serve = tf.saved_model.load(str(intents)).signatures["serve_wav"]
    assert layer(contents)["action"] == serve(contents=contents)["action"]


def test_wav_bytes_are_served_from_the_command_line(slots, tmp_path):
    # The file ends in zeros.
    contents = wav(waveforms(8000, 9000)[0][0])
    np.save(tmp_path / "wav.npy", [contents + b"."])
    where = ("--dir", slots, "--tag_set", "serve", "--signature_def", "serve_wav")
    told = saved_model_cli("run", *where, "--inputs", f"contents={tmp_path}/wav.npy")
    serve = tf.saved_model.load(str(slots)).signatures["serve_wav"]
    assert str(serve(contents=tf.constant([contents]))["text"].numpy()) in told
