import io
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from keras import ops

from pad_keras import export_saved_model
from pad_keras.export.heads import slot_list
from pad_keras.metrics import slot_spans
from pad_keras.models import SlotFiller, UtteranceClassifier
from tests.backend import numpy_of
from tests.export.test_encoder import call, waveforms
from tests.small import speech_student

LABELS = {"action": ("on", "off"), "object": ("light", "heat", "music")}
ASK_ALONE = """
import sys
sys.modules["pad_keras"] = None
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serve_wav"]
outputs = serve(contents=tf.constant([open(sys.argv[2], "rb").read()]))
assert "tensorflow_io" not in sys.modules
print(*[value.numpy()[0].decode() for value in outputs.values() if value.dtype == tf.string])
"""


def wav(samples, rate=16_000, **kwargs):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16", **kwargs)
    return buffer.getvalue()


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
    ],
)
def test_the_list_of_slots_is_that_of_the_metric(text):
    expected = "; ".join(f"{kind}: {value}" for kind, value in slot_spans(text))
    found = slot_list(tf.constant([text]), ["artist", "city"]).numpy()[0].decode()
    assert found == expected


def test_wav_bytes_are_served_as_waveforms(intents):
    signatures = tf.saved_model.load(str(intents)).signatures
    waveform, lengths = waveforms(9000, 5000)
    files = [wav(row[:length]) for row, length in zip(waveform, lengths, strict=True)]
    stereo = wav(np.stack([waveform[0], waveform[0]], axis=1))
    served = signatures["serve_wav"](contents=tf.constant([*files, stereo]))
    expected = call(signatures["serving_default"], waveform, lengths)
    for name in ("action_probabilities", "object_probabilities"):
        np.testing.assert_allclose(served[name][:2], expected[name], atol=1e-3)
        np.testing.assert_allclose(served[name][2], expected[name][0], atol=1e-3)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "empty or cut short"),
        (b"no audio at all, but bytes" * 9, "WAV|Header|header"),
        (wav(np.zeros(8000), rate=8000), "rate must be"),
        (wav(np.zeros(100)), "Too short"),
    ],
    ids=["empty", "not audio", "another rate", "too short"],
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
