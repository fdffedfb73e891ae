"""What HuBERT's and wav2vec 2.0's pretraining share: encoding with masked frames."""

import keras
from keras import ops

from pad_keras.models.shared_batches import SharedBatches


class MaskedPretrainer(SharedBatches, keras.Model):
    """Base of models that pretrain a speech encoder by masking frames.

    Frames are masked in evaluation too: the loss is of masked frames.

    Args:
        backbone: `Wav2Vec2Backbone` whose `mask_time_prob` and `mask_time_length` say what is
            masked.
        **kwargs: of `keras.Model`, such as `name`.

    Raises:
        ValueError: if the backbone masks nothing.
    """

    def __init__(self, backbone, **kwargs):
        # Not to round the waveform; each part casts what it takes.
        super().__init__(autocast=False, **kwargs)
        if backbone.mask_time_prob <= 0:
            raise ValueError(
                "Pretraining predicts masked frames and the backbone masks none "
                "(mask_time_prob=0.0); build it with mask_time_prob=0.5."
            )
        self.backbone = backbone

    def compile(self, optimizer="adam", **kwargs):
        """Configure training; the loss is the model's own.

        Args:
            optimizer: a Keras optimizer.
            **kwargs: of `keras.Model.compile`, such as `jit_compile`.
        """
        super().compile(optimizer=optimizer, **kwargs)

    def encode_masked(self, inputs, training, feature_gradient_scale=1.0):
        """Run the backbone with masked frames.

        Args:
            inputs: dict of the backbone's inputs.
            training: bool.
            feature_gradient_scale: float, of the gradient that reaches the front end.

        Returns:
            Tuple of the front end's frames `[batch, frames, channels]`, the transformer's output
            `[batch, frames, hidden_dim]`, and which frames are masked and which are real, both
            `[batch, frames]` bool. Padding is never masked.
        """
        backbone = self.backbone
        frames, mask = backbone.feature_encoder(inputs["waveform"], inputs["padding_mask"])
        if feature_gradient_scale != 1.0:
            # The same values, as the difference is 0.
            constant = ops.stop_gradient(frames)
            frames = constant + feature_gradient_scale * (frames - constant)
        batch, length = ops.shape(mask)
        masked = ops.logical_and(backbone.spec_augment.time_spans(batch, length), mask)
        outputs = backbone.contextualize(frames, mask, masked, training=training)
        return frames, outputs["sequence_output"], masked, mask

    def get_config(self):
        """Arguments that rebuild this model; `keras.Model` itself keeps none."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild a model from `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})
