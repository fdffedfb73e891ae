"""HuBERT's pretraining: predict the clusters of masked frames."""

import keras
from keras import ops

from pad_keras.losses import functional
from pad_keras.models.pretraining.masked_pretrainer import MaskedPretrainer
from pad_keras.models.wav2vec2.transformer import dense


@keras.saving.register_keras_serializable(package="pad_keras")
class MaskedPredictionModel(MaskedPretrainer):
    """Trains a speech encoder without labels or text: predicts the clusters of masked frames.

    The clusters come from outside, as targets of `fit`: by k-means of MFCC first, and of the
    hidden states of an encoder that was so trained then.

    Args:
        backbone: `Wav2Vec2Backbone` whose `mask_time_prob` and `mask_time_length` say what is
            masked.
        num_clusters: int.
        projection_dim: int, width in which frames and clusters are compared.
        temperature: float, of their cosine.
        unmasked_weight: float, weight of the loss of frames that are not masked. They are easy,
            so that a short training soon has an acoustic model to build on; 0 is the paper's
            choice for long ones.
        name: str.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: dict of the backbone's inputs.

    Returns:
        dict of `logits` `[batch, frames, num_clusters]` float32, and `masked` and `mask`
        `[batch, frames]` bool, the masked frames and the real ones. The target is
        `[batch, frames]` int, the frames' clusters; what it holds at padding has no influence.

    Raises:
        ValueError: if the backbone masks nothing.

    Reference:
        HuBERT (arXiv 2106.07447), section II.

    Example:

    ```python
    backbone = Wav2Vec2Backbone.from_preset("mini", mask_time_prob=0.5)
    model = MaskedPredictionModel(backbone, num_clusters=100)
    model.compile(keras.optimizers.AdamW(1e-3))
    model.fit(batches, epochs=10)  # of ({"waveform": ..., "padding_mask": ...}, clusters)
    ```
    """

    def __init__(
        self,
        backbone,
        num_clusters,
        projection_dim=256,
        temperature=0.1,
        unmasked_weight=0.0,
        name="masked_prediction",
        **kwargs,
    ):
        super().__init__(backbone, name=name, **kwargs)
        self.num_clusters = num_clusters
        self.projection_dim = projection_dim
        self.temperature = temperature
        self.unmasked_weight = unmasked_weight
        self.projection = dense(projection_dim, "projection", backbone.dtype_policy)
        self.projection.build((None, None, backbone.hidden_dim))
        self.cluster_embeddings = self.add_weight(
            name="cluster_embeddings",
            shape=(num_clusters, projection_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.built = True

    def call(self, inputs, training=None):
        """Predict; see the class for the arguments."""
        _, encoded, masked, mask = self.encode_masked(inputs, training)
        logits = functional.cosine_logits(
            self.projection(encoded), self.cluster_embeddings, self.temperature
        )
        return {"logits": logits, "masked": masked, "mask": mask}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the masked frames, and with a weight that of the others.

        Args:
            x: ignored.
            y: `[batch, frames]` int.
            y_pred: dict, as the model returns it.
            sample_weight: ignored.
            training: ignored.

        Returns:
            Scalar float32.
        """
        logits, masked = y_pred["logits"], y_pred["masked"]
        loss = functional.masked_cross_entropy(logits, y, masked)
        if self.unmasked_weight:
            unmasked = ops.logical_and(y_pred["mask"], ops.logical_not(masked))
            loss = loss + self.unmasked_weight * functional.masked_cross_entropy(
                logits, y, unmasked
            )
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Accuracy on the masked frames.

        Args:
            x: ignored.
            y: `[batch, frames]` int.
            y_pred: dict, as the model returns it.
            sample_weight: ignored.

        Returns:
            Dict of floats.
        """
        hits = ops.equal(ops.argmax(y_pred["logits"], axis=-1), ops.cast(y, "int32"))
        self.accuracy.update_state(hits, ops.cast(y_pred["masked"], "float32"))
        return self.get_metrics_result()

    def get_config(self):
        """Arguments that rebuild this model."""
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "projection_dim": self.projection_dim,
            "temperature": self.temperature,
            "unmasked_weight": self.unmasked_weight,
        }
