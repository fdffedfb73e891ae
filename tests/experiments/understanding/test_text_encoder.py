import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from experiments.understanding.text_encoder import TextEncoder
from pad_keras.data import HiddenStateCache, StaleCacheError, TextTokenizer, Utterance
from tests.backend import numpy_of
from tests.small import text_teacher, utterances

PHRASES = utterances(6)


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
