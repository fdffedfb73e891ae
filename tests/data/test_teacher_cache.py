import dataclasses
import logging
import shutil
from types import SimpleNamespace

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pad_keras.data import StaleCacheError, TeacherCache, TextTokenizer
from tests.small import text_teacher, texts, utterances


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def computed(teacher, corpus):
    tokenize = TextTokenizer.for_utterances(teacher.tokenizer, corpus)
    inputs = tokenize(None, tf.constant([u.text for u in corpus]))
    inputs = keras.tree.map_structure(lambda x: ops.convert_to_tensor(np.asarray(x)), inputs)
    return keras.tree.map_structure(ops.convert_to_numpy, teacher(inputs))


def test_it_gives_what_the_teacher_computes(folder):
    teacher, corpus = text_teacher(), utterances(9)
    teacher.adapt_idf(texts(9))
    cache = TeacherCache.build(teacher, corpus, folder, batch_size=4, dtype="float32")
    ids = tf.constant([u.id for u in corpus])
    cached = {k: v.numpy() for k, v in cache(ids, ids).items()}
    units = computed(teacher, corpus)
    assert sorted(cached) == ["cls", "embeddings", "idf", "mask", "significance"]
    for row in range(9):
        valid = units["mask"][row]
        count = valid.sum()
        assert cached["mask"][row].sum() == count
        assert cached["mask"][row, :count].all()
        for name in ("embeddings", "significance", "idf"):
            np.testing.assert_allclose(
                cached[name][row, :count], units[name][row][valid], atol=1e-5
            )
            assert not cached[name][row, count:].any()
    np.testing.assert_allclose(cached["cls"], units["cls"], atol=1e-5)


def test_half_precision_on_disk_is_close(folder):
    teacher, corpus = text_teacher(), utterances(4)
    cache = TeacherCache.build(teacher, corpus, folder)
    units = cache.units(["u2"])
    exact = computed(teacher, corpus)
    np.testing.assert_allclose(
        units["embeddings"][0][units["mask"][0]],
        exact["embeddings"][2][exact["mask"][2]],
        atol=3e-3,
    )


def test_a_fresh_cache_is_reused(folder):
    teacher, corpus = text_teacher(), utterances(5)
    TeacherCache.build(teacher, corpus, folder)
    written = (folder / "meta.json").stat().st_mtime_ns
    # Another process numbers Keras' names anew; that is no other teacher.
    TeacherCache.build(text_teacher(), corpus, folder)
    assert (folder / "meta.json").stat().st_mtime_ns == written


def with_capitals(teacher):
    """The teacher with a tokenizer of the same words that keeps capitals."""
    other = text_teacher()
    other.tokenizer = keras_hub.tokenizers.BertTokenizer(
        vocabulary=teacher.tokenizer.get_vocabulary(), lowercase=False
    )
    return other


CHANGES = {
    "weights": lambda t, c: (text_teacher(seed=8), c, "float16"),
    "configuration": lambda t, c: (text_teacher(layer=1), c, "float16"),
    "text": lambda t, c: (t, [dataclasses.replace(c[0], text="the dog"), *c[1:]], "float16"),
    "tokenizer": lambda t, c: (with_capitals(t), c, "float16"),
    "format": lambda t, c: (t, c, "float32"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stale_cache_is_recognised_and_made_anew(folder, what, caplog):
    teacher, corpus = text_teacher(), utterances(5)
    TeacherCache.build(teacher, corpus, folder)
    changed = CHANGES[what](teacher, corpus)
    with pytest.raises(StaleCacheError, match=what):
        TeacherCache.open(changed[0], changed[1], folder, changed[2])
    with caplog.at_level(logging.WARNING):
        TeacherCache.build(changed[0], changed[1], folder, dtype=changed[2])
    assert what in caplog.text
    TeacherCache.open(changed[0], changed[1], folder, changed[2])


def test_a_text_that_is_said_twice_is_kept_once(folder):
    teacher, said = text_teacher(), utterances(3)
    corpus = [*said, *(dataclasses.replace(u, id=f"{u.id}-faster") for u in said)]
    cache = TeacherCache.build(teacher, corpus, folder, batch_size=2)
    assert len(np.load(folder / "cls.npy")) == 3
    found = cache.units([u.id for u in corpus])
    alone = TeacherCache.build(teacher, said, folder.with_name("alone"), batch_size=2)
    alone = alone.units([u.id for u in said])
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], np.concatenate([values, values]))
    cache.check(corpus)
    changed = dataclasses.replace(corpus[-1], text="the dog")
    with pytest.raises(StaleCacheError, match=changed.id):
        cache.check([changed])


def test_a_disk_that_is_too_small_is_said_before(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(OSError, match="MB are to be written"):
        TeacherCache.build(text_teacher(), utterances(5), folder)
    assert not folder.exists()


def test_utterances_that_it_lacks_are_refused(folder):
    cache = TeacherCache.build(text_teacher(), utterances(5), folder)
    with pytest.raises(StaleCacheError, match="'u5'"):
        cache.check(utterances(6))


def test_what_is_no_cache_is_not_replaced(folder):
    folder.mkdir()
    (folder / "results.json").write_text("{}")
    with pytest.raises(FileExistsError, match=r"cache' holds files and no teacher cache"):
        TeacherCache.build(text_teacher(), utterances(5), folder)
    assert (folder / "results.json").read_text() == "{}"


def test_a_linked_folder_stays_one(folder):
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    for seed in (5, 8):
        TeacherCache.build(text_teacher(seed=seed), utterances(5), folder)
    assert folder.is_symlink()
    assert (elsewhere / "meta.json").is_file()


def test_transcripts_that_the_teacher_cannot_take_are_named(folder):
    first, *others = utterances(5)
    for text, count in (("\u200b", 0), ("cat " * 47, 47)):
        changed = dataclasses.replace(first, text=text)
        with pytest.raises(ValueError, match=f"'{first.id}' has {count} word pieces; .* 1 to 46"):
            TeacherCache.build(text_teacher(), [changed, *others], folder)


def test_units_that_half_precision_cannot_hold_are_refused(folder, monkeypatch):
    teacher = text_teacher()
    compute = type(teacher).call
    monkeypatch.setattr(
        type(teacher),
        "call",
        lambda self, *args, **kwargs: {
            name: value * 1e6 if name == "embeddings" else value
            for name, value in compute(self, *args, **kwargs).items()
        },
    )
    with pytest.raises(ValueError, match='exceed the range of float16; use dtype="float32"'):
        TeacherCache.build(teacher, utterances(5), folder)
    TeacherCache.build(teacher, utterances(5), folder, dtype="float32")


def test_a_killed_build_leaves_nothing(folder, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        TeacherCache.build(text_teacher(), utterances(5), folder)
    assert not folder.exists()
    with pytest.raises(FileNotFoundError, match=r"TeacherCache\.build"):
        TeacherCache(folder)
