"""SUPERB's featurizer: a learnt weighted sum of an encoder's hidden states."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="pad_keras")
class WeightedLayerSum(keras.layers.Layer):
    """Weighs the hidden states of an encoder by a softmax over one learnt scalar each.

    The scalars start at zero, so the sum starts as the mean of the layers. The states are not
    normalised.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        hidden_states: `[batch, layers, frames, dim]`.

    Returns:
        `[batch, frames, dim]`.

    Reference:
        SUPERB (arXiv 2105.01051), weighted sum of hidden states.

    Example:

    ```python
    features = WeightedLayerSum()(backbone(inputs)["hidden_states"])
    ```
    """

    def build(self, input_shape):
        """Create one scalar a layer."""
        if len(input_shape) != 4 or input_shape[1] is None:
            raise ValueError(
                "`hidden_states` must be [batch, layers, frames, dim] with a known number of "
                f"layers, got shape {tuple(input_shape)}."
            )
        self.layer_logits = self.add_weight(
            name="layer_logits", shape=(input_shape[1],), initializer="zeros"
        )

    def call(self, hidden_states):
        """Weigh and sum; see the class for the arguments."""
        weights = ops.cast(self.layer_weights(), hidden_states.dtype)
        if keras.backend.backend() != "tensorflow":
            return ops.einsum("l,blnd->bnd", weights, hidden_states)
        # TensorFlow's einsum transposes the states first, and their gradients once more: this
        # takes a tenth of the time (experiments/benchmarks/heads.py).
        batch, layers, frames, dim = ops.shape(hidden_states)
        flat = ops.reshape(hidden_states, (batch, layers, frames * dim))
        return ops.reshape(ops.matmul(weights[None, None, :], flat), (batch, frames, dim))

    def layer_weights(self):
        """The weights that the layers have now: `[layers]`, summing to 1."""
        return ops.softmax(ops.convert_to_tensor(self.layer_logits))

    def compute_output_shape(self, input_shape):
        """Drop the layer axis."""
        return (input_shape[0], *input_shape[2:])
