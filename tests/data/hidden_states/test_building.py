import dataclasses
import errno
import json
import logging
import os
import pathlib
import shutil
import types

import numpy as np
import pytest
import soundfile

from pad_keras.data import (
    BadInputError,
    HiddenStateCache,
    StaleCacheError,
    batch_order,
    bytes_needed,
    pipeline,
    state_files,
)
from tests.data.hidden_states.common import build, computed, files, states_of
from tests.small import speech_student


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
    whole = [folder / "meta.json", *folder.glob("??/*.bin")]
    partial = [path.with_name(f"{path.name}.7-8.partial") for path in whole]
    for path in partial:
        path.write_text("x")
    build(student, utterances[:2], folder, dtype="float32")
    assert not any(path.exists() for path in partial)
    assert len(files(folder)) == 2
    assert encoded.sizes == [2]


def test_what_others_keep_in_the_folder_stays(student, utterances, tmp_path):
    foreign = [tmp_path / "en" / "pytorch_model.bin", tmp_path / "d.partial"]
    foreign[0].parent.mkdir()
    for path in foreign:
        path.write_text("x")
    build(student, utterances[:1], tmp_path)
    assert all(path.read_text() == "x" for path in foreign)


def test_a_cache_of_the_encoder_before_is_not_read_as_that_of_the_present_one(
    student, folder, utterances
):
    before = HiddenStateCache(folder)
    build(speech_student(seed=8), utterances, folder, dtype="float32")
    with pytest.raises(StaleCacheError, match=utterances[0].id):
        before.check(utterances)


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
