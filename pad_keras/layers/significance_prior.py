"""The attention-based significance prior as a Keras layer."""

import keras
from keras import ops

from pad_keras.losses import functional


@keras.saving.register_keras_serializable(package="pad_keras")
class SignificancePrior(keras.layers.Layer):
    """Attention-based significance prior (ASP) of a stack of attention maps.

    Args:
        stop_gradient: bool, whether the prior is a constant to the optimizer (our choice: yes).
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        attention_scores: list of `[batch, heads, queries, keys]` probabilities, one a layer, or a
            stack `[layers, batch, heads, queries, keys]`.
        padding_mask: `[batch, keys]`, true where a position is real. Defaults to all.
        unit_mask: `[batch, keys]`, true where a position is a unit. Defaults to `padding_mask`.

    Returns:
        `[batch, keys]` float32; a row sums to 1 over its units.

    Reference:
        PAD (arXiv 2303.03600), attention-based significance prior.

    Example:

    ```python
    prior = SignificancePrior()(attention_scores, padding_mask=padding_mask)
    ```
    """

    def __init__(self, stop_gradient=True, **kwargs):
        super().__init__(**kwargs)
        self.stop_gradient = stop_gradient
        # float16 attention probabilities go in as they are: the functional casts to float32.
        self.autocast = False
        self.built = True

    def call(self, attention_scores, padding_mask=None, unit_mask=None):
        """Compute the prior; see the class for the arguments."""
        if padding_mask is None:
            is_list = isinstance(attention_scores, (list, tuple))
            shape = ops.shape(attention_scores[0] if is_list else attention_scores)
            padding_mask = ops.ones((shape[-4], shape[-1]), dtype="bool")
        prior = functional.significance_prior(attention_scores, padding_mask, unit_mask)
        return ops.stop_gradient(prior) if self.stop_gradient else prior

    def compute_output_spec(self, attention_scores, padding_mask=None, unit_mask=None):
        """Shape and dtype of the prior."""
        is_list = isinstance(attention_scores, (list, tuple))
        shape = (attention_scores[0] if is_list else attention_scores).shape
        return keras.KerasTensor((shape[-4], shape[-1]), dtype="float32")

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {**super().get_config(), "stop_gradient": self.stop_gradient}
