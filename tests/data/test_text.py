import numpy as np
import pytest
import tensorflow as tf

from pad_keras.data import TextTokenizer, Utterance, pipeline
from tests.small import VOCABULARY, text_teacher, utterances


@pytest.fixture(scope="module")
def tokenizer():
    return text_teacher().tokenizer


def test_pieces_stand_between_cls_and_sep(tokenizer):
    tokenize = TextTokenizer(tokenizer, max_tokens=7)
    inputs = tokenize(None, tf.constant(["THE CAT", "walking the dog"]))
    names = [[VOCABULARY[i] for i in row] for row in np.asarray(inputs["token_ids"])]
    assert names[0] == ["[CLS]", "the", "cat", "[SEP]", "[PAD]", "[PAD]", "[PAD]"]
    assert names[1] == ["[CLS]", "walk", "##ing", "the", "dog", "[SEP]", "[PAD]"]
    assert np.asarray(inputs["padding_mask"]).sum(1).tolist() == [4, 6]
    assert not np.asarray(inputs["segment_ids"]).any()


def test_the_width_fits_the_longest_transcript(tokenizer):
    corpus = utterances(6)
    tokenize = TextTokenizer.for_utterances(tokenizer, corpus[:2], corpus[2:])
    assert tokenize.max_tokens == 5 + 2
    tokenize.check(corpus)


def test_what_does_not_fit_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"'u3' has 5 tokens.*max_tokens=6"):
        pipeline(utterances(6), 2, text=TextTokenizer(tokenizer, max_tokens=6))
    with pytest.raises(ValueError, match="at least 3, got 2"):
        TextTokenizer(tokenizer, max_tokens=2)


def test_a_missing_transcript_is_named(tokenizer):
    corpus = [*utterances(2), Utterance("mute", "mute.wav", "s", 1.0)]
    with pytest.raises(ValueError, match="'mute' has no transcript"):
        pipeline(corpus, 2, text=TextTokenizer(tokenizer, max_tokens=9))
