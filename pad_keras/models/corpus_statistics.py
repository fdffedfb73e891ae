"""What a text teacher learns from a corpus of transcripts before it teaches."""

import keras
import numpy as np
from keras import ops


def check_corpus(method, tokenizer, transcripts):
    """Refuse to learn from nothing.

    Args:
        method: str, name of the method that was called.
        tokenizer: the teacher's, or `None`.
        transcripts: list of str.

    Raises:
        ValueError: without a tokenizer or transcripts.
    """
    if tokenizer is None or not len(transcripts):
        raise ValueError(
            f"{method} needs a tokenizer and transcripts, got {tokenizer} and "
            f"{len(transcripts)} transcripts."
        )


def inverse_document_frequencies(tokenizer, transcripts, vocabulary_size):
    """Inverse document frequency of every word piece, `ln((1 + N) / (1 + df)) + 1`.

    Args:
        tokenizer: `keras_hub.tokenizers.BertTokenizer`.
        transcripts: list of str, N of them, df of which hold the piece.
        vocabulary_size: int, the encoder's; it may exceed the tokenizer's.

    Returns:
        `[vocabulary]` NumPy array.
    """
    frequency = np.zeros(vocabulary_size)
    for pieces in tokenizer(list(transcripts)):
        frequency[np.unique(ops.convert_to_numpy(pieces))] += 1
    return np.log((1 + len(transcripts)) / (1 + frequency)) + 1


def mean_unit(encode, tokenizer, transcripts, batch_size):
    """Mean of all units of a corpus; every unit of every transcript counts alike.

    Args:
        encode: function of a teacher's inputs that gives its units.
        tokenizer: `keras_hub.tokenizers.BertTokenizer`.
        transcripts: list of str.
        batch_size: int, transcripts encoded at a time.

    Returns:
        `[dim]` NumPy array.

    Raises:
        ValueError: if the transcripts hold no unit.
    """
    total, count = 0.0, 0
    for first in range(0, len(transcripts), batch_size):
        units = encode(tokenize(tokenizer, transcripts[first : first + batch_size]))
        embeddings = ops.convert_to_numpy(units["embeddings"])
        embeddings = embeddings[ops.convert_to_numpy(units["mask"])]
        total += embeddings.sum(axis=0, dtype="float64")
        count += len(embeddings)
    if not count:
        raise ValueError(f"The {len(transcripts)} transcripts hold no unit; give some with words.")
    return total / count


def tokenize(tokenizer, transcripts):
    """A text teacher's inputs of some transcripts, without the tf.data pipeline.

    Args:
        tokenizer: `keras_hub.tokenizers.BertTokenizer`.
        transcripts: list of str.

    Returns:
        Dict of `token_ids`, `segment_ids` `[transcripts, tokens]` int32 and `padding_mask` bool,
        as wide as the longest transcript with [CLS] and [SEP].
    """
    pieces = [ops.convert_to_numpy(ids) for ids in tokenizer(list(transcripts))]
    shape = len(pieces), max(map(len, pieces)) + 2
    token_ids = np.full(shape, tokenizer.pad_token_id, "int32")
    for row, ids in zip(token_ids, pieces, strict=True):
        row[: len(ids) + 2] = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
    inputs = {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": token_ids != tokenizer.pad_token_id,
    }
    return keras.tree.map_structure(ops.convert_to_tensor, inputs)
