"""Small encoders and a corpus of theirs, for tests of what is built on them."""

import keras
import keras_hub
import numpy as np

from pad_keras.data import Utterance
from pad_keras.models import TextTeacher, Wav2Vec2Backbone

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "number", "one", "of", "dog", "walk", "sing", "##ing", "##ed", "'", "t"]
VOCABULARY = SPECIAL + WORDS + [str(digit) for digit in range(10)]


def text_teacher(dim=16, layers=2, seed=5, **kwargs):
    """A random BERT of a few words."""
    keras.utils.set_random_seed(seed)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=layers,
        num_heads=2,
        hidden_dim=dim,
        intermediate_dim=2 * dim,
        max_sequence_length=48,
        dtype="float32",
    )
    generator = np.random.default_rng(seed)
    for weight in backbone.weights:
        # Weights as initialised are so small that all attention is even.
        weight.assign(weight + 0.3 * generator.normal(size=weight.shape))
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=VOCABULARY, lowercase=True)
    teacher = TextTeacher(
        backbone,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        continuation_ids=[VOCABULARY.index("##ing"), VOCABULARY.index("##ed")],
        **kwargs,
    )
    teacher.tokenizer = tokenizer
    return teacher


def speech_student(dim=16, seed=6, **kwargs):
    """A random wav2vec 2.0 of two narrow layers."""
    keras.utils.set_random_seed(seed)
    arguments = {
        "conv_filters": (8,) * 7,
        "hidden_dim": dim,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_dim": 2 * dim,
        "positional_groups": 2,
        "positional_kernel": 8,
    }
    return Wav2Vec2Backbone.from_preset("mini", **{**arguments, **kwargs})


def texts(count):
    """Transcripts of differing length."""
    return [" ".join(WORDS[(i + j) % 8] for j in range(2 + i % 4)) for i in range(count)]


def utterances(count):
    """Utterances without audio."""
    return [Utterance(f"u{i}", f"u{i}.wav", "s", 1.0, text) for i, text in enumerate(texts(count))]
