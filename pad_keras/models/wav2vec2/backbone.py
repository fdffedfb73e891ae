"""wav2vec 2.0 and HuBERT as one KerasHub backbone."""

import os

import keras
import keras_hub
from keras import ops

from pad_keras.losses.functional import mean_prior
from pad_keras.models.frozen_parts import FrozenParts
from pad_keras.models.reading import check_finite, reading
from pad_keras.models.shared_batches import SharedBatches
from pad_keras.models.wav2vec2 import (
    arguments,
    presets,
    transformers_checkpoint,
    transformers_config,
)
from pad_keras.models.wav2vec2.feature_encoder import FeatureEncoder
from pad_keras.models.wav2vec2.layers import (
    PositionalConvEmbedding,
    SpecAugment,
    normalize_frames,
)
from pad_keras.models.wav2vec2.transformer import TransformerLayer, dense


@keras.saving.register_keras_serializable(package="pad_keras")
class Wav2Vec2Backbone(FrozenParts, SharedBatches, keras_hub.models.Backbone):
    """wav2vec 2.0 or HuBERT speech encoder: 16 kHz waveform to frames of 20 ms.

    It also computes the attention-based significance prior of the frames, layer by layer, so that
    no more than one attention map lives at a time. By default an utterance gives the same alone
    and in a padded batch, whatever its padding holds.

    Args:
        conv_filters: tuple of int, output channels of each convolution of the front end.
        conv_kernels: tuple of int, their kernel sizes.
        conv_strides: tuple of int, their strides.
        conv_norm: `"group"` (after the first convolution, each channel over time) or `"layer"`
            (after each convolution, each frame over channels).
        conv_bias: bool, whether the convolutions have a bias.
        hidden_dim: int, width of the transformer.
        num_layers: int, its layers.
        num_heads: int, heads of a layer; divides `hidden_dim`.
        intermediate_dim: int, width of the feed-forward blocks.
        positional_kernel: int, taps of the positional convolution.
        positional_groups: int, its groups; divides `hidden_dim`.
        positional_batch_norm: bool, batch norm in place of weight norm there (a HuBERT variant).
        norm_first: bool, norms before each block and one at the end ("stable layer norm").
        feature_projection_norm: bool, layer norm before the projection (HuBERT may lack it).
        layer_norm_epsilon: float, of the projection and the transformer.
        hidden_dropout: float, rate at the transformer's input and after each block.
        attention_dropout: float, rate on attention probabilities.
        activation_dropout: float, rate after the feed-forward activation.
        feature_projection_dropout: float, rate after the projection.
        layer_drop: float, probability of skipping a layer in a training step.
        mask_time_prob: float, expected share of frames that training masks (SpecAugment).
        mask_time_length: int, frames of a masked span.
        mask_feature_prob: float, expected share of channels that training masks.
        mask_feature_length: int, channels of a masked span.
        batch_independent: bool. If false, the group norm counts padding and a batch-normed
            positional convolution sees it, as in the reference; outputs then depend on the batch.
        normalize_waveform: bool, zero mean and unit variance for each utterance (over its real
            samples) before the front end. Idempotent.
        normalize_hidden_states: bool, zero mean and unit variance for each frame of
            `hidden_states` over its channels, so that a weighted sum of them is not led by the
            layers with the largest values. `sequence_output` stays as it is.
        freeze_feature_encoder: bool, no training of, and no gradient through, the front end.
        gradient_checkpointing: bool, whether training computes each transformer layer again in the
            backward pass and keeps its input alone until then: less memory for more time.
        significance_layers: sequence of layer indices (negative ones count from the end) whose
            attention makes the prior; `None` for all.
        stop_significance_gradient: bool, whether the prior is a constant to the optimizer.
        model_type: `"wav2vec2"` or `"hubert"`, the name under which `to_transformers` writes it.
        dtype: dtype or dtype policy of computations and weights.
        **kwargs: of `keras.Model`, such as `name`.

    Call arguments:
        inputs: dict of `waveform` `[batch, samples]` float32 at 16 kHz and `padding_mask`
            `[batch, samples]` (true or 1 at real samples, which come first).

    Returns:
        dict of
        - `sequence_output` `[batch, frames, hidden_dim]`;
        - `hidden_states` `[batch, num_layers + 1, frames, hidden_dim]`, each layer's input and
          `sequence_output` (with `norm_first` that is past the final norm, as SUPERB takes it),
          normalised if `normalize_hidden_states`;
        - `significance` `[batch, frames]` float32, a row sums to 1 over real frames, 0 elsewhere;
        - `mask` `[batch, frames]` bool, true at real frames. Other outputs hold no meaning where
          it is false.

    Raises:
        ValueError: on arguments that do not fit together.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), HuBERT (arXiv 2106.07447), PAD (arXiv 2303.03600).

    Example:

    ```python
    backbone = Wav2Vec2Backbone.from_preset("mini")
    outputs = backbone({
        "waveform": np.random.normal(size=(2, 16000)).astype("float32"),
        "padding_mask": np.ones((2, 16000), "bool"),
    })
    outputs["sequence_output"].shape  # (2, 49, 384)
    ```
    """

    def __init__(
        self,
        conv_filters=(512,) * 7,
        conv_kernels=(10, 3, 3, 3, 3, 2, 2),
        conv_strides=(5, 2, 2, 2, 2, 2, 2),
        conv_norm="group",
        conv_bias=False,
        hidden_dim=768,
        num_layers=12,
        num_heads=12,
        intermediate_dim=3072,
        positional_kernel=128,
        positional_groups=16,
        positional_batch_norm=False,
        norm_first=False,
        feature_projection_norm=True,
        layer_norm_epsilon=1e-5,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.0,
        feature_projection_dropout=0.0,
        layer_drop=0.0,
        mask_time_prob=0.0,
        mask_time_length=10,
        mask_feature_prob=0.0,
        mask_feature_length=10,
        batch_independent=True,
        normalize_waveform=False,
        normalize_hidden_states=False,
        freeze_feature_encoder=False,
        gradient_checkpointing=False,
        significance_layers=None,
        stop_significance_gradient=True,
        model_type="wav2vec2",
        dtype=None,
        **kwargs,
    ):
        arguments.check_counts(
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            positional_kernel=positional_kernel,
            positional_groups=positional_groups,
            mask_time_length=mask_time_length,
            mask_feature_length=mask_feature_length,
        )
        arguments.check_convolutions(conv_filters, conv_kernels, conv_strides, conv_norm)
        arguments.check_widths(hidden_dim, num_heads, positional_groups)
        arguments.check_rates(
            hidden_dropout=hidden_dropout,
            attention_dropout=attention_dropout,
            activation_dropout=activation_dropout,
            feature_projection_dropout=feature_projection_dropout,
            layer_drop=layer_drop,
            mask_time_prob=mask_time_prob,
            mask_feature_prob=mask_feature_prob,
        )
        arguments.check_positive(layer_norm_epsilon=layer_norm_epsilon)
        arguments.check_flags(
            conv_bias=conv_bias,
            positional_batch_norm=positional_batch_norm,
            norm_first=norm_first,
            feature_projection_norm=feature_projection_norm,
            batch_independent=batch_independent,
            normalize_waveform=normalize_waveform,
            normalize_hidden_states=normalize_hidden_states,
            freeze_feature_encoder=freeze_feature_encoder,
            gradient_checkpointing=gradient_checkpointing,
            stop_significance_gradient=stop_significance_gradient,
        )
        arguments.check_memory(
            conv_filters,
            conv_kernels,
            hidden_dim,
            num_layers,
            intermediate_dim,
            positional_kernel,
            positional_groups,
        )
        chosen_layers = arguments.resolve_layers(significance_layers, num_layers)
        arguments.check_model_type(model_type)

        # === Layers ===
        self.feature_encoder = FeatureEncoder(
            conv_filters,
            conv_kernels,
            conv_strides,
            norm=conv_norm,
            use_bias=conv_bias,
            over_real_frames=batch_independent,
            normalize=normalize_waveform,
            dtype=dtype,
            name="feature_encoder",
        )
        self.feature_norm = None
        if feature_projection_norm:
            self.feature_norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=dtype, name="feature_norm"
            )
        self.feature_projection = dense(hidden_dim, "feature_projection", dtype)
        self.feature_dropout = keras.layers.Dropout(
            feature_projection_dropout, dtype=dtype, name="feature_dropout"
        )
        self.spec_augment = SpecAugment(
            mask_time_prob,
            mask_time_length,
            mask_feature_prob,
            mask_feature_length,
            dtype=dtype,
            name="spec_augment",
        )
        self.positional_embedding = PositionalConvEmbedding(
            positional_kernel,
            positional_groups,
            batch_norm=positional_batch_norm,
            over_real_frames=batch_independent,
            dtype=dtype,
            name="positional_embedding",
        )
        # Before the layers if they are post-norm, after them if they are pre-norm.
        self.encoder_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=dtype, name="encoder_norm"
        )
        self.encoder_dropout = keras.layers.Dropout(
            hidden_dropout, dtype=dtype, name="encoder_dropout"
        )
        self.transformer_layers = [
            TransformerLayer(
                hidden_dim,
                num_heads,
                intermediate_dim,
                norm_first=norm_first,
                layer_norm_epsilon=layer_norm_epsilon,
                dropout=hidden_dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
                layer_drop=layer_drop,
                return_received=index in chosen_layers,
                gradient_checkpointing=gradient_checkpointing,
                dtype=dtype,
                name=f"transformer_layer_{index}",
            )
            for index in range(num_layers)
        ]

        self.norm_first = norm_first
        self.normalize_hidden_states = normalize_hidden_states
        self.stop_significance_gradient = stop_significance_gradient

        # === Functional model ===
        waveform = keras.Input((None,), dtype="float32", name="waveform")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        frames, mask = self.feature_encoder(waveform, padding_mask)
        super().__init__(
            inputs={"waveform": waveform, "padding_mask": padding_mask},
            outputs=self.contextualize(frames, mask),
            dtype=dtype,
            **kwargs,
        )
        if freeze_feature_encoder:
            # Only now: the constructor's argument would not reach weights of inner layers.
            self.feature_encoder.trainable = False

        # === Config ===
        self.conv_filters = tuple(conv_filters)
        self.conv_kernels = tuple(conv_kernels)
        self.conv_strides = tuple(conv_strides)
        self.conv_norm = conv_norm
        self.conv_bias = conv_bias
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.positional_kernel = positional_kernel
        self.positional_groups = positional_groups
        self.positional_batch_norm = positional_batch_norm
        self.feature_projection_norm = feature_projection_norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.hidden_dropout = hidden_dropout
        self.attention_dropout = attention_dropout
        self.activation_dropout = activation_dropout
        self.feature_projection_dropout = feature_projection_dropout
        self.layer_drop = layer_drop
        self.mask_time_prob = mask_time_prob
        self.mask_time_length = mask_time_length
        self.mask_feature_prob = mask_feature_prob
        self.mask_feature_length = mask_feature_length
        self.batch_independent = batch_independent
        self.normalize_waveform = normalize_waveform
        self.freeze_feature_encoder = freeze_feature_encoder
        self.gradient_checkpointing = gradient_checkpointing
        self.significance_layers = None if significance_layers is None else chosen_layers
        self.model_type = model_type

    def frozen_parts(self):
        """The front end, if it is frozen for good."""
        return [self.feature_encoder] if getattr(self, "freeze_feature_encoder", False) else []

    def contextualize(self, frames, mask, masked=None, training=None):
        """From the front end's frames to the outputs: the backbone without its front end.

        For pretraining, which has to know which frames are masked.

        Args:
            frames: `[batch, frames, conv_filters[-1]]`, of `feature_encoder`.
            mask: `[batch, frames]` bool, true at real frames.
            masked: `[batch, frames]` bool, frames that become the mask embedding. Defaults to
                what `mask_time_prob` draws in training.
            training: bool.

        Returns:
            Dict of the backbone's outputs; see the class.
        """
        x = frames if self.feature_norm is None else self.feature_norm(frames)
        x = self.feature_dropout(self.feature_projection(x), training=training)
        x = self.spec_augment(x, masked, training=training)
        x = self.positional_embedding(x, mask)
        if not self.norm_first:
            x = self.encoder_norm(x)
        x = self.encoder_dropout(x, training=training)
        hidden_states, received = [x], []
        for layer in self.transformer_layers:
            x = layer(x, mask, training=training)
            if layer.return_received:
                x, received_by_layer = x
                received.append(received_by_layer)
            hidden_states.append(x)
        if self.norm_first:
            x = hidden_states[-1] = self.encoder_norm(x)
        states = ops.stack(hidden_states, axis=1)
        if self.normalize_hidden_states:
            states = normalize_frames(states)
        significance = mean_prior(received, mask)
        if self.stop_significance_gradient:
            significance = ops.stop_gradient(significance)
        return {
            "sequence_output": x,
            "hidden_states": states,
            "significance": significance,
            "mask": mask,
        }

    def get_config(self):
        """Arguments that rebuild this backbone."""
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in CONFIG_NAMES},
        }

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Build a backbone from a named size, a preset or a transformers checkpoint.

        Args:
            preset: one of
                - `"mini"`, `"base"` or `"large"`: an architecture with random weights (see
                  `presets.ARCHITECTURES`); write `"./base"` for a folder of that name;
                - a folder that `save_to_preset` wrote, or any other preset KerasHub knows;
                - a folder in the transformers layout: `config.json` with `model_type` wav2vec2 or
                  hubert, and `model.safetensors` or `pytorch_model.bin` (or shards and their
                  index), with or without task heads, which are left out;
                - `"hf://owner/name"`, either of these two on the Hugging Face hub.
            load_weights: bool. If false, weights are random.
            **kwargs: constructor arguments that take the place of the preset's.

        Returns:
            A `Wav2Vec2Backbone`.

        Raises:
            ValueError: naming the file or folder, if it is broken or does not fit the
                architecture, with the weights' names.
            FileNotFoundError: if a folder is missing, or lacks `config.json` or the weights.

        Example:

        ```python
        backbone = Wav2Vec2Backbone.from_preset("hf://facebook/wav2vec2-base", layer_drop=0.05)
        ```
        """
        preset = os.fspath(preset)
        if preset in presets.ARCHITECTURES:
            return cls(**{**presets.ARCHITECTURES[preset], **kwargs})
        folder = transformers_checkpoint.find_checkpoint(preset, load_weights)
        if folder is None:
            with reading(preset, kwargs):
                backbone = super().from_preset(preset, load_weights=load_weights, **kwargs)
        else:
            with reading(folder):
                config = transformers_config.read_config(folder)
            with reading(folder / transformers_config.CONFIG_FILE, kwargs):
                backbone = cls(**{**config, **kwargs})
            if load_weights:
                transformers_checkpoint.load_weights(backbone, folder)
        if load_weights:
            check_finite(backbone, preset)
        return backbone

    def to_transformers(self, folder):
        """Write the backbone in the transformers layout, for transformers and s3prl.

        Writes `config.json`, `model.safetensors` and `preprocessor_config.json`, each atomically.

        Args:
            folder: path; created if need be.

        Example:

        ```python
        backbone.to_transformers("encoder")
        transformers.AutoModel.from_pretrained("encoder")
        ```
        """
        transformers_checkpoint.save(self, folder)


CONFIG_NAMES = (
    "conv_filters",
    "conv_kernels",
    "conv_strides",
    "conv_norm",
    "conv_bias",
    "hidden_dim",
    "num_layers",
    "num_heads",
    "intermediate_dim",
    "positional_kernel",
    "positional_groups",
    "positional_batch_norm",
    "norm_first",
    "feature_projection_norm",
    "layer_norm_epsilon",
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "feature_projection_dropout",
    "layer_drop",
    "mask_time_prob",
    "mask_time_length",
    "mask_feature_prob",
    "mask_feature_length",
    "batch_independent",
    "normalize_waveform",
    "normalize_hidden_states",
    "freeze_feature_encoder",
    "gradient_checkpointing",
    "significance_layers",
    "stop_significance_gradient",
    "model_type",
)
