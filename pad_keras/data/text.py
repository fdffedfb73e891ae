"""Transcripts to word pieces, inside the tf.data graph."""

import keras_hub
import tensorflow as tf


class TextTokenizer:
    """Tokenizes a batch of transcripts into `[CLS] pieces [SEP]`, padded to one length.

    Args:
        tokenizer: `keras_hub.tokenizers.BertTokenizer` (`TextTeacher.tokenizer` is one).
        max_tokens: int, static length of the result with [CLS] and [SEP]. Transcripts that do
            not fit are refused by `check`, never cut in silence.

    Raises:
        ValueError: if `max_tokens` leaves no room for a word piece.

    Example:

    ```python
    tokenizer = TextTokenizer.for_utterances(teacher.tokenizer, utterances)
    dataset = pipeline(utterances, 8, text=tokenizer)
    ```
    """

    key = "text"

    def __init__(self, tokenizer, max_tokens):
        if max_tokens < 3:
            raise ValueError(f"`max_tokens` must be at least 3, got {max_tokens}.")
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self._packer = keras_hub.layers.MultiSegmentPacker(
            sequence_length=max_tokens,
            start_value=tokenizer.cls_token_id,
            end_value=tokenizer.sep_token_id,
            pad_value=tokenizer.pad_token_id,
        )

    @classmethod
    def for_utterances(cls, tokenizer, *corpora):
        """A tokenizer just wide enough for the longest transcript.

        Args:
            tokenizer: `keras_hub.tokenizers.BertTokenizer`.
            *corpora: lists of `Utterance`.

        Returns:
            `TextTokenizer`.
        """
        texts = [utterance.text for utterances in corpora for utterance in utterances]
        return cls(tokenizer, max_tokens=max(piece_counts(tokenizer, texts)) + 2)

    def check(self, utterances):
        """Refuse utterances without a transcript or with one that is too long.

        Args:
            utterances: list of `Utterance`.

        Raises:
            ValueError: naming the first such utterance.
        """
        check_transcripts(utterances)
        counts = piece_counts(self.tokenizer, [u.text for u in utterances])
        for utterance, count in zip(utterances, counts, strict=True):
            if count + 2 > self.max_tokens:
                raise ValueError(
                    f"The transcript of {utterance.id!r} has {count} tokens and [CLS] and [SEP], "
                    f"more than max_tokens={self.max_tokens}."
                )

    def __call__(self, ids, transcripts):
        """Tokenize a batch.

        Args:
            ids: `[batch]` string tensor; not used.
            transcripts: `[batch]` string tensor.

        Returns:
            Dict of `token_ids`, `segment_ids` `[batch, max_tokens]` int32 and `padding_mask`
            `[batch, max_tokens]` bool.
        """
        token_ids, segment_ids = self._packer(self.tokenizer(transcripts))
        return {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": tf.not_equal(token_ids, self.tokenizer.pad_token_id),
        }


def piece_counts(tokenizer, texts):
    """Number of word pieces of each text.

    Args:
        tokenizer: `keras_hub.tokenizers.BertTokenizer`.
        texts: list of str.

    Returns:
        list of int.
    """
    return [len(pieces) for pieces in tokenizer(list(texts))]


def check_transcripts(utterances):
    """Refuse utterances that have no transcript.

    Args:
        utterances: list of `Utterance`.

    Raises:
        ValueError: naming the first such utterance.
    """
    for utterance in utterances:
        if not (utterance.text or "").strip():
            raise ValueError(
                f"The utterance {utterance.id!r} has no transcript; distillation needs one of each."
            )
