import keras
import numpy as np
import pytest
import tensorflow as tf

from pad_keras.data import HiddenStateCache, StaleCacheError, TextTokenizer, pipeline, sources
from pad_keras.models import SlotFiller, UtteranceClassifier
from pad_keras.models.wav2vec2.convolutions import frame_counts
from tests.backend import QUICK
from tests.data.hidden_states.common import COUNT, build
from tests.small import speech_student, text_teacher

STREAMS = {
    "in order": {},
    "shuffled": {"shuffle": True, "repeat": True, "seed": 4},
    "resumed": {"shuffle": True, "repeat": True, "seed": 4, "start_batch": 3},
    "an epoch": {"shuffle": True, "seed": 4},
    "short ones": {"max_seconds": 0.45},
}


@pytest.mark.parametrize("stream", STREAMS)
def test_batches_are_those_of_audio_behind_the_encoder(exact, student, utterances, stream):
    options = {
        **STREAMS[stream],
        # Few shapes, few compilations.
        "buckets": 2,
        "text": TextTokenizer.for_utterances(text_teacher().tokenizer, utterances),
        "targets": {"number": np.arange(COUNT)},
    }
    from_audio, from_states = (
        list(pipeline(utterances, 3, states=states, **options).take(4).as_numpy_iterator())
        for states in (None, exact)
    )
    assert len(from_audio) == len(from_states) > 1
    for (audio, numbers), (states, same_numbers) in zip(from_audio, from_states, strict=True):
        np.testing.assert_array_equal(numbers["number"], same_numbers["number"])
        np.testing.assert_array_equal(audio["text"]["token_ids"], states["text"]["token_ids"])
        expected, found = student.predict_on_batch(audio["speech"]), states["speech"]
        assert sorted(found) == ["hidden_states", "mask"]
        assert found["hidden_states"].dtype == np.float32
        np.testing.assert_array_equal(found["mask"], expected["mask"])
        valid = expected["mask"][:, None, :, None]
        np.testing.assert_allclose(
            found["hidden_states"], np.where(valid, expected["hidden_states"], 0), atol=2e-5
        )


@pytest.mark.parametrize("stream", STREAMS)
def test_pooled_states_in_memory_make_the_batches_of_those_on_disk(
    student, utterances, tmp_path, monkeypatch, stream
):
    cache = build(student, utterances, tmp_path, pooled=True)
    options = {**STREAMS[stream], "states": cache, "targets": {"number": np.arange(COUNT)}}

    def batches():
        stream = pipeline(utterances, 3, **options)
        return int(stream.cardinality()), list(stream.take(4).as_numpy_iterator())

    assert sources.StateSource(utterances, cache).held is not None
    count, in_memory = batches()
    monkeypatch.setattr(sources, "_MOST_BYTES_HELD", 0)
    assert sources.StateSource(utterances, cache).held is None
    same_count, on_disk = batches()
    assert count == same_count
    assert len(in_memory) == len(on_disk) > 1
    for found, expected in zip(in_memory, on_disk, strict=True):
        found, expected = keras.tree.flatten(found), keras.tree.flatten(expected)
        assert [(a.shape, a.dtype) for a in found] == [(a.shape, a.dtype) for a in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_states_are_padded_as_their_audio_is(exact, student, utterances, batch_size):
    """So that random masks of a head, drawn in the shape of its inputs, are the same."""
    from_audio, from_states = (
        [batch["speech"] for batch in pipeline(utterances, batch_size, states=states, buckets=5)]
        for states in (None, exact)
    )
    widths = [speech["mask"].shape[1] for speech in from_states]
    samples = np.array([speech["waveform"].shape[1] for speech in from_audio])
    assert widths == list(frame_counts(samples, student.conv_kernels, student.conv_strides))
    assert len(set(widths)) <= 5


def test_an_utterance_that_is_not_there_is_named(student, utterances, tmp_path):
    cache = build(student, utterances[:2], tmp_path)
    with pytest.raises(StaleCacheError, match=f"{utterances[2].id!r}.*no such file"):
        pipeline(utterances, 2, states=cache)


def cut_frames(path, layout):
    """Cut a file short by so much that what is left would make an array of fewer frames."""
    path.write_bytes(path.read_bytes()[: -layout.array_bytes(2)])


@pytest.mark.parametrize("damage", [cut_frames, lambda path, layout: path.unlink()])
def test_files_that_are_lost_on_the_way_are_named(folder, utterances, damage):
    cache = HiddenStateCache(folder)
    strict = pipeline(utterances, 3, states=cache)
    lenient = pipeline(utterances, 3, states=cache, on_error="skip")
    path = cache.path(utterances[5])
    damage(path, cache.layout)
    with pytest.raises(tf.errors.OpError, match=f"{path.name}.*{utterances[5].id!r}"):
        list(strict)
    with pytest.warns(UserWarning, match="hidden states: skipped 1 items"):
        batches = list(lenient)
    assert sum(len(batch["speech"]["mask"]) for batch in batches) == COUNT - 1
    with pytest.raises(StaleCacheError, match=utterances[5].id):
        pipeline(utterances, 3, states=cache)


def classifier():
    labels = {"action": ("on", "off"), "object": ("light", "heat", "music")}
    return UtteranceClassifier(speech_student(hidden_dropout=0.1), labels, projection_dim=8)


def filler():
    student = speech_student(hidden_dropout=0.1)
    arguments = {"projection_dim": 8, "lstm_dim": 6, "dropout": 0.0, "spec_augment": False}
    return SlotFiller(student, ["a", "b"], **arguments)


def targets(kind):
    numbers = np.arange(COUNT)
    if kind is classifier:
        return {"action": numbers % 2, "object": numbers % 3}
    ids = np.stack([3 + numbers, 4 + numbers % 5, numbers % 3], axis=1)
    return {"ids": ids.astype("int32"), "length": np.where(ids[:, 2], 3, 2).astype("int32")}


def losses(kind, utterances, states):
    """Losses of the steps of a training."""
    model = kind()
    model.compile(keras.optimizers.Adam(0.1), **QUICK)
    # One bucket, one shape, one compilation.
    options = {"shuffle": True, "repeat": True, "targets": targets(kind), "buckets": 1}
    batches = pipeline(utterances, 4, states=states, **options)
    history = model.fit(batches, steps_per_epoch=1, epochs=3, verbose=0, shuffle=False)
    return history.history["loss"]


def test_heads_train_from_states_as_from_audio(exact, student, utterances, tmp_path):
    pooled = build(student, utterances, tmp_path / "pooled", pooled=True)
    half = build(student, utterances, tmp_path / "half")
    cases = {
        classifier: [(exact, 1e-4), (pooled, 1e-4), (half, 1e-2)],
        filler: [(exact, 1e-4), (half, 1e-2)],
    }
    for kind, caches in cases.items():
        expected = losses(kind, utterances, None)
        assert np.ptp(expected) > 0.1
        for cache, tolerance in caches:
            found = losses(kind, utterances, cache)
            np.testing.assert_allclose(found, expected, rtol=tolerance)
