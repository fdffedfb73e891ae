import keras
import numpy as np
import pytest

from pad_keras.data import HiddenStateCache, TextTokenizer, librispeech, pipeline
from pad_keras.losses import SpanAlignment
from pad_keras.models import AlignmentDistiller, FrontEnd
from tests.backend import QUICK, numpy_of
from tests.data.corpus import write_corpus
from tests.small import speech_student, text_teacher


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return librispeech(write_corpus(folder, speakers=2, per_speaker=2), hours=None)


def distiller_of(**kwargs):
    teacher = text_teacher()
    student = speech_student(freeze_feature_encoder=True, **kwargs)
    distiller = AlignmentDistiller(teacher, student, SpanAlignment())
    distiller.compile(keras.optimizers.Adam(1e-3), **QUICK)
    return distiller


@pytest.mark.parametrize("conv_norm", ["group", "layer"])
def test_frames_from_a_cache_train_as_audio_does(conv_norm, utterances, tmp_path):
    trained = []
    for cached in (False, True):
        distiller = distiller_of(conv_norm=conv_norm, conv_filters=(8,) * 6 + (12,))
        states = None
        if cached:
            front_end = FrontEnd(distiller.student.feature_encoder)
            states = HiddenStateCache.build(front_end, utterances, tmp_path, dtype="float32")
        text = TextTokenizer(distiller.teacher.tokenizer, 16)
        batches = pipeline(utterances, 2, text=text, states=states)
        losses = distiller.fit(batches, epochs=2, shuffle=False, verbose=0).history["loss"]
        weights = [numpy_of(weight) for weight in distiller.student.weights]
        trained.append((losses, weights))
    (from_audio, expected), (from_frames, found) = trained
    np.testing.assert_allclose(from_frames, from_audio, rtol=1e-4)
    assert from_frames[1] < from_frames[0]
    for pair in zip(found, expected, strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-4)


def test_padding_does_not_reach_the_student(utterances, tmp_path):
    distiller = distiller_of()
    front_end = FrontEnd(distiller.student.feature_encoder)
    states = HiddenStateCache.build(front_end, utterances, tmp_path, dtype="float32")
    text = TextTokenizer(distiller.teacher.tokenizer, 16)
    batch = next(pipeline(utterances, 4, text=text, states=states).as_numpy_iterator())
    speech = batch["speech"]
    assert not speech["mask"].all()
    garbage = np.where(speech["mask"][:, None, :, None], speech["hidden_states"], np.float32(7))
    first, second = (
        numpy_of(distiller.compute_loss({**batch, "speech": one}, training=False))
        for one in (speech, {**speech, "hidden_states": garbage})
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_a_front_end_comes_back_from_its_config():
    front_end = FrontEnd(speech_student().feature_encoder)
    again = FrontEnd.from_config(front_end.get_config())
    again.set_weights(front_end.get_weights())
    batch = {
        "waveform": np.random.default_rng(0).normal(size=(2, 2000)).astype("float32"),
        "padding_mask": np.arange(2000) < np.array([[2000], [1200]]),
    }
    found, expected = (numpy_of(model(batch)) for model in (again, front_end))
    np.testing.assert_array_equal(found["mask"], expected["mask"])
    np.testing.assert_array_equal(found["hidden_states"], expected["hidden_states"])
