import dataclasses
import errno
import json
import logging
import os
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pad_keras.data import (
    BadInputError,
    HiddenStateCache,
    StaleCacheError,
    TextTokenizer,
    batch_order,
    bytes_needed,
    decode_audio,
    librispeech,
    pipeline,
    sources,
    state_files,
)
from pad_keras.models import SlotFiller, UtteranceClassifier
from pad_keras.models.wav2vec2.convolutions import frame_counts
from tests.backend import QUICK, numpy_of
from tests.data.corpus import write_corpus
from tests.small import speech_student, text_teacher

COUNT = 8


def build(*args, batch_size=4, **options):
    """Batches of few shapes, for which a student is compiled once."""
    return HiddenStateCache.build(*args, batch_size=batch_size, **options)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return librispeech(write_corpus(folder, speakers=2, per_speaker=COUNT // 2), hours=None)


@pytest.fixture(scope="module")
def student():
    # Dropout, which a state computed in training mode would show.
    return speech_student(hidden_dropout=0.1)


@pytest.fixture(scope="module")
def exact(student, utterances, tmp_path_factory):
    """A cache in float32, for tests that only read."""
    folder = tmp_path_factory.mktemp("exact")
    return build(student, utterances, folder, dtype="float32")


@pytest.fixture
def folder(exact, tmp_path):
    """The same cache in a folder that a test may change."""
    return shutil.copytree(exact.folder, tmp_path / "states")


@pytest.fixture
def encoded(monkeypatch):
    """Sizes of the batches that the encoder computes; `fail_at` is the one it fails at."""
    calls = types.SimpleNamespace(sizes=[], fail_at=None)
    compute = keras.Model.predict_on_batch

    def counted(model, x):
        if len(calls.sizes) == calls.fail_at:
            raise KeyboardInterrupt
        calls.sizes.append(len(x["waveform"]))
        return compute(model, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", counted)
    return calls


def states_of(cache, utterance):
    return cache.read(str(cache.path(utterance))).numpy()


def computed(student, utterance):
    """The encoder's states of one utterance alone, without padding."""
    waveform = decode_audio(utterance.audio).numpy()[None]
    speech = {"waveform": waveform, "padding_mask": np.ones_like(waveform, bool)}
    outputs = numpy_of(student(speech))
    assert outputs["mask"].all()
    return outputs["hidden_states"][0]


def files(folder):
    return sorted(path.name for path in folder.glob("??/*"))


def test_states_are_those_of_the_utterance_alone(exact, student, utterances, tmp_path):
    half = build(student, utterances, tmp_path)
    for utterance in utterances[::3]:
        expected = computed(student, utterance)
        np.testing.assert_allclose(states_of(exact, utterance), expected, atol=2e-5)
        found = states_of(half, utterance)
        assert found.dtype == np.float16
        # Rounding to 11 bits.
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=2e-5)


def test_an_encoder_whose_outputs_depend_on_the_batch_sees_utterances_alone(utterances, tmp_path):
    student = speech_student(conv_norm="group", batch_independent=False)
    cache = build(student, utterances[:3], tmp_path, dtype="float32")
    for utterance in utterances[:3]:
        np.testing.assert_allclose(
            states_of(cache, utterance), computed(student, utterance), atol=2e-5
        )


def test_pooled_states_are_means_over_frames(exact, student, utterances, tmp_path):
    pooled = build(student, utterances, tmp_path, pooled=True)
    for utterance in utterances:
        expected = states_of(exact, utterance).mean(axis=1, keepdims=True)
        found = states_of(pooled, utterance)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("options", [{}, {"dtype": "float32"}, {"pooled": True}])
def test_the_size_is_known_beforehand(student, utterances, tmp_path, caplog, options):
    with caplog.at_level(logging.INFO):
        build(student, utterances[:2], tmp_path, **options)
    size = sum(path.stat().st_size for path in tmp_path.glob("??/*.bin"))
    needed = bytes_needed(student, utterances[:2], **options)
    assert size == needed + 2 * state_files.TRAILER_BYTES
    assert f"2 of 2 utterances to encode, {needed / 1e6:.1f} MB" in caplog.text


def test_a_killed_build_goes_on_where_it_was(student, utterances, tmp_path, encoded):
    encoded.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        build(student, utterances, tmp_path, batch_size=5)
    assert encoded.sizes == [5]
    assert len(files(tmp_path)) == 5
    encoded.fail_at = None
    cache = build(student, utterances, tmp_path, batch_size=5)
    assert encoded.sizes == [5, 3]
    cache.check(utterances)
    build(student, utterances, tmp_path, batch_size=5)
    assert encoded.sizes == [5, 3]


def test_a_kill_while_writing_leaves_no_file(student, utterances, tmp_path, monkeypatch):
    build(student, [], tmp_path)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        build(student, utterances[:2], tmp_path)
    assert files(tmp_path) == []


def test_changed_audio_is_encoded_anew(student, folder, utterances, encoded):
    audio = pathlib.Path(utterances[1].audio)
    before = audio.stat()
    os.utime(audio, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    try:
        with pytest.raises(StaleCacheError, match=utterances[1].id):
            HiddenStateCache(folder).check(utterances)
        build(student, utterances, folder, dtype="float32").check(utterances)
        assert encoded.sizes == [1]
    finally:
        os.utime(audio, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_was_cut_short_is_made_anew(student, folder, utterances, encoded):
    path = HiddenStateCache(folder).path(utterances[2])
    path.write_bytes(path.read_bytes()[:-1000])
    build(student, utterances, folder, dtype="float32").check(utterances)
    assert encoded.sizes == [1]


def test_names_and_what_only_training_sees_make_no_other_encoder(folder, utterances, encoded):
    student = speech_student(hidden_dropout=0.3, name="another")
    student.trainable = False
    seeds = [v for v in student.variables if "seed_generator" in v.path]
    assert seeds
    for seed in seeds:
        seed.assign(np.array([7, 8], "uint32"))
    build(student, utterances, folder, dtype="float32")
    assert encoded.sizes == []


CHANGES = {
    "weights": (lambda: speech_student(seed=8), {"dtype": "float32"}),
    "configuration": (lambda: speech_student(norm_first=False), {"dtype": "float32"}),
    "precision": (lambda: speech_student(dtype="mixed_bfloat16"), {"dtype": "float32"}),
    "dtype": (speech_student, {"dtype": "float16"}),
    "pooling": (speech_student, {"pooled": True}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_states_of_another_encoder_or_layout_are_made_anew(folder, utterances, what, caplog):
    student, options = CHANGES[what][0](), CHANGES[what][1]
    before = HiddenStateCache(folder).path(utterances[0]).read_bytes()
    with caplog.at_level(logging.WARNING):
        cache = build(student, utterances[:2], folder, **options)
    assert what in caplog.text
    assert len(files(folder)) == 2
    cache.check(utterances[:2])
    assert cache.path(utterances[0]).read_bytes() != before


@pytest.mark.parametrize("damage", ["{", "layout"])
def test_a_damaged_description_is_made_anew(student, folder, utterances, caplog, damage):
    path = folder / "meta.json"
    if damage == "layout":
        meta = json.loads(path.read_text())
        meta["layout"]["dim"] += 1
        damage = json.dumps(meta)
    path.write_text(damage)
    with caplog.at_level(logging.WARNING):
        cache = build(student, utterances, folder, dtype="float32")
    assert "made anew" in caplog.text
    cache.check(utterances)


def test_what_the_machine_cannot_do_just_now_removes_nothing(
    student, folder, utterances, monkeypatch
):
    def too_many_open_files(*args, **kwargs):
        raise OSError(errno.EMFILE, "Too many open files")

    before = files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "read_text", too_many_open_files)
        with pytest.raises(OSError, match="Too many open files"):
            build(student, utterances, folder, dtype="float32")
    assert files(folder) == before


def test_a_removal_that_was_killed_is_finished(student, folder, utterances, encoded):
    # The description goes first.
    (folder / "meta.json").unlink()
    build(student, utterances[:2], folder, dtype="float32")
    assert len(files(folder)) == 2
    assert encoded.sizes == [2]


def test_a_full_disk_is_noticed_before_the_work(
    student, utterances, tmp_path, monkeypatch, encoded
):
    needed = bytes_needed(student, utterances)
    usage = types.SimpleNamespace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="the disk has .* free; use another folder") as caught:
        build(student, utterances, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert encoded.sizes == []
    usage.free = needed
    build(student, utterances, tmp_path)
    # What is there already needs no room.
    usage.free = 0
    build(student, utterances, tmp_path)


@pytest.mark.parametrize(("scale", "helps"), [(1e6, True), (np.nan, False)])
def test_values_that_do_not_fit_are_refused(utterances, tmp_path, scale, helps):
    student = speech_student()
    # Of the last norm.
    student.encoder_norm.gamma.assign(student.encoder_norm.gamma * scale)
    shortest = batch_order(utterances, 4)[0].id
    with pytest.raises(ValueError, match=f'{shortest!r} .*use dtype="float32"'):
        build(student, utterances, tmp_path)
    assert files(tmp_path) == []
    if helps:
        build(student, utterances[:1], tmp_path, dtype="float32")
    else:
        with pytest.raises(ValueError, match="hold NaN"):
            build(student, utterances, tmp_path, dtype="float32")


def test_arguments_are_checked(exact, student, utterances, tmp_path):
    with pytest.raises(ValueError, match="`dtype` must be one of .*'bfloat16'"):
        build(student, utterances, tmp_path, dtype="bfloat16")
    with pytest.raises(FileNotFoundError, match=r"HiddenStateCache\.build"):
        HiddenStateCache(tmp_path)
    twice = [*utterances, utterances[3]]
    for refuse in (exact.check, lambda u: build(student, u, tmp_path)):
        with pytest.raises(StaleCacheError, match=f"{utterances[3].id!r} is given twice"):
            refuse(twice)
    with pytest.raises(ValueError, match="`augment` works on waveforms"):
        pipeline(utterances, 2, states=exact, augment=lambda w: w)


def test_too_short_an_utterance_is_named(student, utterances, tmp_path):
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(300), 16_000)
    corpus = [dataclasses.replace(utterances[0], id="short", audio=str(short), seconds=300 / 16e3)]
    # Alone it would not even pass the encoder.
    for others in ([], utterances):
        with pytest.raises(ValueError, match="'short' .* 300 samples, less than one frame"):
            build(student, [*corpus, *others], tmp_path / "states")


def test_audio_that_cannot_be_read_is_named(student, utterances, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio")
    corpus = [*utterances[:2], dataclasses.replace(utterances[2], audio=str(broken))]
    with pytest.raises(BadInputError, match=str(broken)):
        build(student, corpus, tmp_path / "states")
    broken.unlink()
    with pytest.raises(BadInputError, match=f"{broken}: there is no such file"):
        build(student, corpus, tmp_path / "states")


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
