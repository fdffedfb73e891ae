"""A bidirectional LSTM over padded utterances, by each backend's fused kernel where it has one."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="pad_keras")
class BidirectionalLSTM(keras.layers.Layer):
    """Runs one LSTM from the first real frame on, another from the last real frame back.

    It computes what `keras.layers.Bidirectional(keras.layers.LSTM(...))` does with a mask, at real
    frames. Given a mask, Keras leaves the fused kernels of JAX and torch (cuDNN) for a loop over
    frames. No mask is needed where padding follows the real frames: the forward LSTM meets it
    last, and the backward one too once real frames alone are reversed.

    Args:
        units: int, of each direction.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[batch, frames, dim]`.
        padding_mask: `[batch, frames]` bool, real frames first.

    Returns:
        `[batch, frames, 2 * units]`, forward then backward; of no meaning at padding.

    Example:

    ```python
    BidirectionalLSTM(128)(features, padding_mask=mask)
    ```
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True
        self.forward_layer, self.backward_layer = (
            keras.layers.LSTM(
                units,
                return_sequences=True,
                use_cudnn=self._use_cudnn(),
                dtype=self.dtype_policy,
                name=name,
            )
            for name in ("forward", "backward")
        )

    def _use_cudnn(self):
        """JAX's binding of cuDNN refuses 16 bit, and only once it is compiled."""
        is_refused = keras.backend.backend() == "jax" and self.compute_dtype != "float32"
        return False if is_refused else "auto"

    def build(self, input_shape):
        """Create both directions' weights."""
        self.forward_layer.build(input_shape)
        self.backward_layer.build(input_shape)

    def call(self, inputs, padding_mask):
        """Run both directions; see the class."""
        padding_mask = ops.cast(padding_mask, "bool")
        lengths = ops.sum(ops.cast(padding_mask, "int32"), axis=1)
        # A mask that Keras had attached is gone from the result; the LSTMs would loop for it.
        inputs = ops.where(padding_mask[:, :, None], inputs, ops.zeros_like(inputs))
        backward = self.backward_layer(_reverse_real(inputs, lengths))
        return ops.concatenate([self.forward_layer(inputs), _reverse_real(backward, lengths)], -1)

    def compute_output_shape(self, input_shape):
        """Both directions side by side."""
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {**super().get_config(), "units": self.units}


def _reverse_real(x, lengths):
    """The first `lengths` frames of each utterance in reverse, the others where they were."""
    frames = ops.arange(ops.shape(x)[1])[None]
    lengths = lengths[:, None]
    source = ops.where(frames < lengths, lengths - 1 - frames, frames)
    return ops.take_along_axis(x, source[:, :, None], axis=1)
