"""Transformer layer of wav2vec 2.0 that tells how much attention each frame receives."""

import keras
from keras import ops

from pad_keras.losses.functional import received_attention
from pad_keras.models.wav2vec2.checkpointing import recomputed

# Finite, so that a row without any valid key stays finite; added in float32.
MASKED_LOGIT = -1e9


def dense(units, name, dtype):
    """Dense layer with the reference's initialisation, normal with deviation 0.02."""
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return keras.layers.Dense(units, kernel_initializer=initializer, dtype=dtype, name=name)


def computed_after(x, first):
    """A tensor that TensorFlow computes after another one; elsewhere the tensor itself.

    On one thread TensorFlow puts off what no later operation waits for. It would reduce the
    attention maps of all layers at the end, and keep all of them until then: of wav2vec2-base and
    30 s 1.7 GB in place of 0.5 (experiments/benchmarks/significance.py). XLA plans its memory.

    Args:
        x: tensor.
        first: tensor.

    Returns:
        `x`.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    with tf.control_dependencies([first]):
        return tf.identity(x)


@keras.saving.register_keras_serializable(package="pad_keras")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention that also returns the attention each frame receives.

    The softmax is computed in float32. The attention map is reduced to one number a frame on the
    spot, so that a stack of layers never keeps its maps for the significance prior.

    Args:
        hidden_dim: int, width of the frames.
        num_heads: int, divides `hidden_dim`.
        dropout: float, rate on the attention probabilities.
        return_received: bool, whether to return the received attention.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: `[batch, frames, hidden_dim]`.
        frame_mask: `[batch, frames]` bool, true at real frames.

    Returns:
        `[batch, frames, hidden_dim]`; with `return_received`, also `[batch, frames]` float32, this
        layer's share of the attention (before dropout) of real frames that each frame receives.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 2; PAD (arXiv 2303.03600), significance prior.

    Example:

    ```python
    attention = SelfAttention(hidden_dim=64, num_heads=4, return_received=True)
    y, received = attention(keras.ops.ones((1, 9, 64)), keras.ops.ones((1, 9), "bool"))
    ```
    """

    def __init__(self, hidden_dim, num_heads, dropout=0.0, return_received=False, **kwargs):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.return_received = return_received
        self.query = dense(hidden_dim, "query", self.dtype_policy)
        self.key = dense(hidden_dim, "key", self.dtype_policy)
        self.value = dense(hidden_dim, "value", self.dtype_policy)
        self.output_projection = dense(hidden_dim, "output_projection", self.dtype_policy)
        self.probability_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, x_shape, frame_mask_shape=None):
        """Build the four projections."""
        for projection in (self.query, self.key, self.value, self.output_projection):
            projection.build(x_shape)

    def call(self, x, frame_mask, training=None):
        """Attend; see the class for the arguments."""
        head_dim = self.hidden_dim // self.num_heads
        query = self._split_heads(self.query(x) * head_dim**-0.5)
        key = self._split_heads(self.key(x))
        value = self._split_heads(self.value(x))
        logits = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")
        is_padding = ops.logical_not(ops.cast(frame_mask, "bool"))
        logits = logits + MASKED_LOGIT * ops.cast(is_padding, "float32")[:, None, None, :]
        scores = ops.softmax(logits, axis=-1)
        probabilities = self.probability_dropout(
            ops.cast(scores, self.compute_dtype), training=training
        )
        context = ops.transpose(ops.matmul(probabilities, value), (0, 2, 1, 3))
        batch, frames = ops.shape(context)[:2]
        output = self.output_projection(ops.reshape(context, (batch, frames, self.hidden_dim)))
        if not self.return_received:
            return output
        received = received_attention(scores, frame_mask)
        return computed_after(output, received), received

    def _split_heads(self, x):
        """`[batch, frames, hidden]` to `[batch, heads, frames, head width]`."""
        batch, frames = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, frames, self.num_heads, self.hidden_dim // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def compute_output_spec(self, x, frame_mask, training=None):
        """Shapes and dtypes of the outputs."""
        output = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not self.return_received:
            return output
        return output, keras.KerasTensor(x.shape[:2], dtype="float32")

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "return_received": self.return_received,
        }


@keras.saving.register_keras_serializable(package="pad_keras")
class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward block, pre-norm or post-norm, with layer drop.

    Args:
        hidden_dim: int, width of the frames.
        num_heads: int, divides `hidden_dim`.
        intermediate_dim: int, width of the feed-forward block.
        norm_first: bool, whether norms come before each block ("stable layer norm").
        layer_norm_epsilon: float.
        dropout: float, rate after attention and after the feed-forward block.
        attention_dropout: float, rate on the attention probabilities.
        activation_dropout: float, rate after the feed-forward activation.
        layer_drop: float, probability that in training the layer is the identity for a batch.
        return_received: bool, whether to return the received attention.
        gradient_checkpointing: bool, whether training computes the layer again in the backward
            pass and keeps its input alone until then.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: `[batch, frames, hidden_dim]`.
        frame_mask: `[batch, frames]` bool, true at real frames.

    Returns:
        `[batch, frames, hidden_dim]`; with `return_received`, also the received attention
        `[batch, frames]` float32 (of a dropped layer too: our choice).

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 2; LayerDrop (arXiv 1909.11556).

    Example:

    ```python
    layer = TransformerLayer(hidden_dim=64, num_heads=4, intermediate_dim=256)
    y = layer(keras.ops.ones((1, 9, 64)), keras.ops.ones((1, 9), "bool"))
    ```
    """

    def __init__(
        self,
        hidden_dim,
        num_heads,
        intermediate_dim,
        norm_first=False,
        layer_norm_epsilon=1e-5,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        layer_drop=0.0,
        return_received=False,
        gradient_checkpointing=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.norm_first = norm_first
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation_dropout = activation_dropout
        self.layer_drop = layer_drop
        self.return_received = return_received
        self.gradient_checkpointing = gradient_checkpointing
        dtype = self.dtype_policy
        self.attention = SelfAttention(
            hidden_dim, num_heads, attention_dropout, return_received, dtype=dtype, name="attention"
        )
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=dtype, name="attention_norm"
        )
        self.intermediate_dense = dense(intermediate_dim, "intermediate_dense", dtype)
        self.output_dense = dense(hidden_dim, "output_dense", dtype)
        self.output_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=dtype, name="output_norm"
        )
        self.hidden_dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.intermediate_dropout = keras.layers.Dropout(activation_dropout, dtype=dtype)
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, x_shape, frame_mask_shape=None):
        """Build the sub-layers."""
        self.attention.build(x_shape)
        self.attention_norm.build(x_shape)
        self.intermediate_dense.build(x_shape)
        self.output_dense.build((*x_shape[:-1], self.intermediate_dim))
        self.output_norm.build(x_shape)

    def call(self, x, frame_mask, training=None):
        """Transform; see the class for the arguments."""
        if not (training and self.gradient_checkpointing):
            return self._transform(x, frame_mask, training)
        # The mask is no argument: TensorFlow would ask for its gradient.
        transform = recomputed(
            lambda x: self._transform(x, frame_mask, training), self, self._draws()
        )
        return transform(x)

    def _transform(self, x, frame_mask, training):
        attended = self.attention_norm(x) if self.norm_first else x
        attended = self.attention(attended, frame_mask, training=training)
        if self.return_received:
            attended, received = attended
        y = x + self.hidden_dropout(attended, training=training)
        if self.norm_first:
            y = y + self._feed_forward(self.output_norm(y), training)
        else:
            y = self.attention_norm(y)
            y = self.output_norm(y + self._feed_forward(y, training))
        if training and self.layer_drop > 0:
            # A choice between values, not between branches: the same graph on every backend, and
            # the seeds of the dropouts advance alike either way.
            is_kept = keras.random.uniform((), seed=self.seed_generator) >= self.layer_drop
            y = ops.where(is_kept, y, x)
        return (y, received) if self.return_received else y

    def _draws(self):
        """Generators of random numbers, and how often a training step draws from each."""
        dropouts = (
            (self.attention.probability_dropout, 1),
            (self.hidden_dropout, 2),
            (self.intermediate_dropout, 1),
        )
        draws = [(layer.seed_generator, times) for layer, times in dropouts if layer.rate > 0]
        if self.layer_drop > 0:
            draws.append((self.seed_generator, 1))
        return draws

    def _feed_forward(self, x, training):
        """Two dense layers with exact GELU between them."""
        x = ops.gelu(self.intermediate_dense(x), approximate=False)
        x = self.output_dense(self.intermediate_dropout(x, training=training))
        return self.hidden_dropout(x, training=training)

    def compute_output_spec(self, x, frame_mask, training=None):
        """Shapes and dtypes of the outputs."""
        output = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not self.return_received:
            return output
        return output, keras.KerasTensor(x.shape[:2], dtype="float32")

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "norm_first": self.norm_first,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation_dropout": self.activation_dropout,
            "layer_drop": self.layer_drop,
            "return_received": self.return_received,
            "gradient_checkpointing": self.gradient_checkpointing,
        }
