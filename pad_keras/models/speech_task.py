"""What the heads of spoken language understanding share: an encoder below, frozen or not."""

import keras
from keras import ops

from pad_keras.layers import WeightedLayerSum
from pad_keras.models.frozen_parts import FrozenParts
from pad_keras.models.shared_batches import SharedBatches
from pad_keras.optimizers import ClippedAdam


class SpeechTask(FrozenParts, SharedBatches, keras.Model):
    """A speech encoder with a weighted sum of its hidden states, the base of every head.

    A frozen encoder runs in inference mode and is no part of `trainable_variables`; batches may
    then carry its hidden states, computed once, in place of the waveform.

    Args:
        backbone: `Wav2Vec2Backbone`, or any model with its inputs and outputs.
        fine_tune: bool, whether the encoder is trained too.
        layers: sequence of int, the hidden states that are weighed: 0 is the transformer's input,
            -1 the last layer. `None`, SUPERB's way, for all.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: dict of the encoder's inputs, or of `hidden_states`
            `[batch, layers + 1, frames, dim]` and `mask` `[batch, frames]`; `pipeline`'s dict
            with these under `speech` is taken too.

    Raises:
        ValueError: if `layers` names a state that the encoder does not have, or one twice.

    Reference:
        SUPERB (arXiv 2105.01051): frozen upstream, learnt weighted sum of hidden states.
    """

    def __init__(self, backbone, fine_tune=False, layers=None, **kwargs):
        # Not to round the waveform; each part casts what it takes.
        super().__init__(autocast=False, **kwargs)
        self.backbone = backbone
        self.fine_tune = fine_tune
        backbone.trainable = fine_tune
        self.weighted_sum = WeightedLayerSum(dtype=self.dtype_policy, name="weighted_sum")
        _, states, _, dim = backbone.output["hidden_states"].shape
        self.layers_weighed = _resolve_layers(layers, states)
        self.weighted_sum.build((None, len(self.layers_weighed or range(states)), None, dim))
        self.hidden_dim = dim

    def frozen_parts(self):
        """The encoder, unless it is trained too."""
        return [] if getattr(self, "fine_tune", True) else [self.backbone]

    def features(self, inputs, training=False):
        """Weighted hidden states and which frames are real.

        Args:
            inputs: dict; see the class.
            training: bool.

        Returns:
            Tuple of `[batch, frames, dim]` and the mask `[batch, frames]` bool. Features are 0
            where the mask is false.
        """
        inputs = inputs.get("speech", inputs)
        if "hidden_states" in inputs:
            states, mask = inputs["hidden_states"], inputs["mask"]
        else:
            outputs = self.backbone(inputs, training=bool(training) and self.fine_tune)
            states, mask = outputs["hidden_states"], outputs["mask"]
            if not self.fine_tune:
                states = ops.stop_gradient(states)
        if self.layers_weighed is not None:
            states = ops.take(states, self.layers_weighed, axis=1)
        mask = ops.cast(mask, "bool")
        # States of padding may hold anything, NaN too, which a weight of 0 would not remove.
        states = ops.where(mask[:, None, :, None], states, ops.zeros_like(states))
        return self.weighted_sum(states), mask

    def compile(self, optimizer=None, **kwargs):
        """Configure training.

        Args:
            optimizer: a Keras optimizer. Defaults to SUPERB's Adam.
            **kwargs: of `keras.Model.compile`.
        """
        super().compile(optimizer=optimizer or superb_optimizer(), **kwargs)

    def get_config(self):
        """Arguments that rebuild this model."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "fine_tune": self.fine_tune,
            "layers": self.layers_weighed,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild a model from `get_config`."""
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)


def _resolve_layers(layers, states):
    """Non-negative indices of the hidden states that are weighed; `None` for all."""
    if layers is None:
        return None
    known = [layer for layer in layers if -states <= layer < states]
    found = sorted({layer % states for layer in known})
    if not found or len(found) < len(layers):
        raise ValueError(
            f"`layers` must be None or different ones of the encoder's {states} hidden states, "
            f"{-states} to {states - 1}; it is {tuple(layers)}."
        )
    return found


def superb_optimizer(learning_rate=1e-4, accumulation=1):
    """Adam as SUPERB's heads are trained: no schedule, gradients clipped at a norm of 1.

    Args:
        learning_rate: float, the one thing that SUPERB lets one tune.
        accumulation: int, steps whose mean gradient makes one update.

    Returns:
        `keras.optimizers.Adam`, where there is XLA of the kind `pad_keras.optimizers.ClippedAdam`.
    """
    # On torch Keras updates all weights at once, of its own Adam alone.
    kind = keras.optimizers.Adam if keras.backend.backend() == "torch" else ClippedAdam
    return kind(
        learning_rate,
        epsilon=1e-8,
        global_clipnorm=1.0,
        gradient_accumulation_steps=accumulation if accumulation > 1 else None,
    )
