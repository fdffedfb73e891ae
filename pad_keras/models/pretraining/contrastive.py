"""wav2vec 2.0's pretraining: tell masked frames' quantized features from distractors."""

import keras
from keras import ops

from pad_keras.layers.gumbel_quantizer import GumbelQuantizer
from pad_keras.losses import functional
from pad_keras.models.pretraining.masked_pretrainer import MaskedPretrainer
from pad_keras.models.wav2vec2.transformer import dense


@keras.saving.register_keras_serializable(package="pad_keras")
class ContrastiveModel(MaskedPretrainer):
    """Trains a speech encoder without labels or text, by wav2vec 2.0's contrastive task.

    For each masked frame, the transformer's output is to be nearer to that frame's own quantized
    features than to those of other masked frames of the utterance. It needs no clusters and so no
    stages; `MaskedPredictionModel` learns more from few updates.

    Args:
        backbone: `Wav2Vec2Backbone` whose `mask_time_prob` and `mask_time_length` say what is
            masked.
        negatives: int, distractors of each masked frame.
        groups: int, codebooks of the quantizer.
        entries: int, of each codebook.
        projection_dim: int, width in which output and quantized features are compared.
        temperature: float, of their cosine.
        diversity_weight: float, of the loss that keeps all entries in use.
        exclude_same_code: bool, whether frames of one code are no distractors of each other, as in
            the reference code. One code for all frames then brings the contrast to 0: a small
            encoder went there within 100 updates.
        feature_gradient_scale: float, of the gradient that reaches the front end, which else runs
            ahead of the rest; 0.1 in the reference code.
        quantizer_temperature: tuple, as `GumbelQuantizer` takes it.
        name: str.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: dict of the backbone's inputs.

    Returns:
        dict of `context` and `quantized` `[batch, frames, projection_dim]`, `probabilities`
        `[batch, frames, groups, entries]`, `codes` `[batch, frames]` int32, `negatives`
        `[batch, frames, negatives]` int32 and `masked` `[batch, frames]` bool. Targets of `fit`
        are ignored.

    Raises:
        ValueError: if the backbone masks nothing.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 3.

    Example:

    ```python
    backbone = Wav2Vec2Backbone.from_preset("base", mask_time_prob=0.5)
    model = ContrastiveModel(backbone)
    model.compile(keras.optimizers.AdamW(5e-4))
    model.fit(batches, epochs=10)  # of {"waveform": ..., "padding_mask": ...}
    ```
    """

    def __init__(
        self,
        backbone,
        negatives=100,
        groups=2,
        entries=320,
        projection_dim=256,
        temperature=0.1,
        diversity_weight=0.1,
        exclude_same_code=False,
        feature_gradient_scale=0.1,
        quantizer_temperature=(2.0, 0.9995, 0.5),
        name="contrastive",
        **kwargs,
    ):
        super().__init__(backbone, name=name, **kwargs)
        self.negatives = negatives
        self.groups = groups
        self.entries = entries
        self.projection_dim = projection_dim
        self.temperature = temperature
        self.diversity_weight = diversity_weight
        self.exclude_same_code = exclude_same_code
        self.feature_gradient_scale = feature_gradient_scale
        self.quantizer_temperature = tuple(quantizer_temperature)
        self.quantizer = GumbelQuantizer(
            groups, entries, projection_dim, self.quantizer_temperature, name="quantizer"
        )
        self.quantizer.build((None, None, backbone.conv_filters[-1]))
        self.projection = dense(projection_dim, "projection", backbone.dtype_policy)
        self.projection.build((None, None, backbone.hidden_dim))
        self.quantized_projection = dense(projection_dim, "quantized_projection", "float32")
        self.quantized_projection.build((None, None, projection_dim))
        self.seed_generator = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.perplexity = keras.metrics.Mean(name="perplexity")
        self.built = True

    def call(self, inputs, training=None):
        """Encode and quantize; see the class for the arguments."""
        features, encoded, masked, _ = self.encode_masked(
            inputs, training, self.feature_gradient_scale
        )
        if self.backbone.feature_norm is not None:
            features = self.backbone.feature_norm(features)
        quantized, probabilities, codes = self.quantizer(features, training=training)
        batch, frames = ops.shape(masked)
        draws = keras.random.uniform((batch, frames, self.negatives), seed=self.seed_generator)
        return {
            "context": self.projection(encoded),
            "quantized": self.quantized_projection(quantized),
            "probabilities": probabilities,
            "codes": codes,
            "negatives": functional.draw_negatives(draws, masked),
            "masked": masked,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Contrastive loss, and the diversity of the codes.

        Args:
            x: ignored.
            y: ignored.
            y_pred: dict, as the model returns it.
            sample_weight: ignored.
            training: ignored.

        Returns:
            Scalar float32.
        """
        loss, accuracy = functional.contrastive_loss(
            y_pred["context"],
            y_pred["quantized"],
            y_pred["codes"] if self.exclude_same_code else None,
            y_pred["negatives"],
            y_pred["masked"],
            self.temperature,
        )
        diversity, perplexity = functional.diversity_loss(y_pred["probabilities"], y_pred["masked"])
        self.accuracy.update_state(accuracy)
        self.perplexity.update_state(perplexity)
        return loss + self.diversity_weight * diversity

    def get_config(self):
        """Arguments that rebuild this model."""
        return {
            **super().get_config(),
            "negatives": self.negatives,
            "groups": self.groups,
            "entries": self.entries,
            "projection_dim": self.projection_dim,
            "temperature": self.temperature,
            "diversity_weight": self.diversity_weight,
            "exclude_same_code": self.exclude_same_code,
            "feature_gradient_scale": self.feature_gradient_scale,
            "quantizer_temperature": self.quantizer_temperature,
        }
