"""The convolutional front end of a speech encoder as an encoder of its own, to cache its frames."""

import keras
from keras import ops

from pad_keras.models.shared_batches import SharedBatches


@keras.saving.register_keras_serializable(package="pad_keras")
class FrontEnd(SharedBatches, keras.Model):
    """A frozen front end's frames in the guise of hidden states, for a `HiddenStateCache`.

    The front end is most of the work of a small encoder. Where it is frozen, its frames are the
    same in every epoch, and what trains above takes them from the cache.

    Args:
        feature_encoder: `FeatureEncoder`, a backbone's `feature_encoder`; it is shared, not copied.
        **kwargs: of `keras.Model`, such as `name`.

    Call arguments:
        inputs: dict of `waveform` `[batch, samples]` float32 at 16 kHz and `padding_mask`
            `[batch, samples]`, as of `Wav2Vec2Backbone`.

    Returns:
        Dict of `hidden_states` `[batch, 1, frames, conv_filters[-1]]` and `mask`
        `[batch, frames]` bool.

    Example:

    ```python
    front_end = FrontEnd(student.feature_encoder)
    frames = HiddenStateCache.build(front_end, utterances, "runs/frames", dtype="float32")
    distiller.fit(pipeline(utterances, 8, text=units, states=frames, shuffle=True))
    ```
    """

    # As of `Wav2Vec2Backbone`: there is one state, the frames.
    num_layers = 0

    def __init__(self, feature_encoder, **kwargs):
        waveform = keras.Input((None,), dtype="float32", name="waveform")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        frames, mask = feature_encoder(waveform, padding_mask)
        super().__init__(
            inputs={"waveform": waveform, "padding_mask": padding_mask},
            outputs={"hidden_states": ops.expand_dims(frames, axis=1), "mask": mask},
            **kwargs,
        )
        self.feature_encoder = feature_encoder

    @property
    def conv_kernels(self):
        """Kernel sizes of the convolutions."""
        return self.feature_encoder.kernels

    @property
    def conv_strides(self):
        """Their strides."""
        return self.feature_encoder.strides

    @property
    def batch_independent(self):
        """Whether an utterance gives the same alone and in a padded batch."""
        return self.feature_encoder.over_real_frames

    def get_config(self):
        """Arguments that rebuild this model."""
        return {
            "feature_encoder": keras.saving.serialize_keras_object(self.feature_encoder),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild a model from `get_config`."""
        feature_encoder = keras.saving.deserialize_keras_object(config["feature_encoder"])
        return cls(feature_encoder, name=config["name"])
