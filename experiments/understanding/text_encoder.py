"""A text encoder of the right words in place of a speech encoder: the topline."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pad_keras.data.audio import SAMPLE_RATE
from pad_keras.data.fingerprints import tokenizer_hash
from pad_keras.data.text import TextTokenizer, piece_counts
from pad_keras.models.shared_batches import SharedBatches

# What a word piece takes to say: the mean of the embedded corpora. By it sizes on disk and padded
# widths are guessed from durations, as they are of speech encoders; no state depends on it.
_PIECE_SECONDS = 0.36


class TextEncoder(SharedBatches, keras.Model):
    """A text encoder's hidden states of the transcripts, for the heads of speech encoders.

    What a head reaches on it, a speech encoder reaches that hears each word and understands it as
    the text encoder does. It reads transcripts, so a head takes its states from a
    `HiddenStateCache` alone, never from audio.

    Args:
        teacher: `TextTeacher` with a tokenizer; it is not changed.
        repeats: int, frames that each word piece becomes. CTC writes at most a character a frame,
            and a blank between two that are alike: 12 leave room for all but the longest pieces,
            and those borrow from their neighbours (our choice). The mean over frames does not
            depend on it.
        **kwargs: of `keras.Model`, such as `name`.

    Call arguments:
        inputs: dict of `token_ids`, `segment_ids` and `padding_mask` `[batch, tokens]`, as
            `TextTokenizer` gives them.

    Returns:
        Dict of `hidden_states` `[batch, layers + 1, tokens, dim]`, the embeddings and each layer's
        output, and `mask` `[batch, tokens]` bool, true at word pieces: [CLS], [SEP] and padding
        are none.

    Raises:
        ValueError: if `repeats` is less than 1, or the teacher has no tokenizer.

    Example:

    ```python
    encoder = TextEncoder(TextTeacher.from_preset("minilm"))
    states = HiddenStateCache.build(encoder, utterances, "runs/text_states", pooled=True)
    classifier = UtteranceClassifier(encoder, labels)
    ```
    """

    # Of what `HiddenStateCache` keeps the states.
    source = "text"

    def __init__(self, teacher, repeats=12, **kwargs):
        if repeats < 1:
            raise ValueError(f"`repeats` must be at least 1, got {repeats}.")
        if teacher.tokenizer is None:
            raise ValueError(
                "`teacher` has no tokenizer; TextTeacher.from_preset sets one, or set `tokenizer`."
            )
        backbone = teacher.backbone
        inputs = backbone.input
        token_ids, is_real = inputs["token_ids"], ops.cast(inputs["padding_mask"], "bool")
        is_special = ops.logical_or(
            ops.equal(token_ids, teacher.cls_token_id), ops.equal(token_ids, teacher.sep_token_id)
        )
        layers = (backbone.embeddings_layer_norm, *backbone.transformer_layers)
        super().__init__(
            inputs=inputs,
            outputs={
                "hidden_states": ops.stack([layer.output for layer in layers], axis=1),
                "mask": ops.logical_and(is_real, ops.logical_not(is_special)),
            },
            **kwargs,
        )
        self.trainable = False
        self.tokenizer = teacher.tokenizer
        self.repeats = repeats
        self.max_pieces = backbone.max_sequence_length - 2
        self.hidden_dim = backbone.hidden_dim
        self.num_layers = backbone.num_layers
        self._identity = {
            **{k: v for k, v in backbone.get_config().items() if k not in ("name", "dtype")},
            "exact_gelu": teacher.exact_gelu,
            "special_token_ids": [teacher.cls_token_id, teacher.sep_token_id],
            "tokenizer": tokenizer_hash(teacher.tokenizer),
        }

    @property
    def conv_kernels(self):
        """Kernel of a convolution of audio that would give about as many frames."""
        return (round(_PIECE_SECONDS * SAMPLE_RATE / self.repeats),)

    @property
    def conv_strides(self):
        """Its stride."""
        return self.conv_kernels

    def check(self, utterances):
        """Refuse utterances that cannot be encoded.

        Args:
            utterances: list of `Utterance`.

        Raises:
            ValueError: naming the first utterance without a transcript, or with one that is
                longer than the encoder takes.
        """
        counts = piece_counts(self.tokenizer, [utterance.text or "" for utterance in utterances])
        for utterance, count in zip(utterances, counts, strict=True):
            if not count:
                raise ValueError(
                    f"The utterance {utterance.id!r} has no transcript (`text` is "
                    f"{utterance.text!r}), and a text encoder reads nothing else; leave it out, or "
                    "take a speech encoder."
                )
            if count > self.max_pieces:
                raise ValueError(
                    f"The transcript of {utterance.id!r} has {count} word pieces, and the text "
                    f"encoder takes at most {self.max_pieces}; leave it out, or take another."
                )

    def encoded(self, utterances, batch_size):
        """Hidden states of utterances, one after the other; `HiddenStateCache.build` takes them.

        Args:
            utterances: list of `Utterance` with transcripts.
            batch_size: int, utterances that the encoder takes at a time.

        Yields:
            Tuple of an `Utterance` and its states `[layers + 1, repeats * pieces, dim]` float32.

        Raises:
            ValueError: as `check` does.
        """
        self.check(utterances)
        tokenizer = TextTokenizer.for_utterances(self.tokenizer, utterances)
        for start in range(0, len(utterances), batch_size):
            group = utterances[start : start + batch_size]
            tokens = tokenizer(None, tf.constant([utterance.text for utterance in group]))
            outputs = self.predict_on_batch({name: np.asarray(t) for name, t in tokens.items()})
            rows = zip(group, outputs["hidden_states"], outputs["mask"], strict=True)
            for utterance, states, mask in rows:
                pieces = states[:, mask].astype("float32")
                yield utterance, np.repeat(pieces, self.repeats, axis=1)

    def get_config(self):
        """What the states depend on beside weights and precision; it does not rebuild the encoder.

        The backbone's own entry would hold names that Keras numbers anew in every process.
        """
        return {**self._identity, "repeats": self.repeats, "name": self.name}
