"""Product quantization with a Gumbel softmax."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="pad_keras")
class GumbelQuantizer(keras.layers.Layer):
    """Replaces each vector by entries that it chooses from codebooks, one a group.

    In training the choice is drawn by a Gumbel softmax whose temperature falls from step to step,
    and the gradient is that of the soft choice; otherwise the most probable entry is taken.

    Args:
        groups: int, codebooks.
        entries: int, of each codebook.
        output_dim: int, width of the quantized vector; a multiple of `groups`.
        temperature: tuple of the temperature at the start, its factor a step, and its least value.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        x: `[batch, frames, dim]`.

    Returns:
        Tuple of `[batch, frames, output_dim]`, the probabilities of the choice without noise
        `[batch, frames, groups, entries]`, and the chosen code `[batch, frames]` int32, one number
        for the entries of all groups.

    Raises:
        ValueError: if `output_dim` is no multiple of `groups`.

    Reference:
        wav2vec 2.0 (arXiv 2006.11477), section 2; Gumbel softmax (arXiv 1611.01144).

    Example:

    ```python
    quantized, probabilities, codes = GumbelQuantizer(2, 320, 256)(keras.ops.ones((1, 9, 128)))
    ```
    """

    def __init__(
        self, groups=2, entries=320, output_dim=256, temperature=(2.0, 0.9995, 0.5), **kwargs
    ):
        super().__init__(**kwargs)
        if output_dim % groups:
            raise ValueError(
                f"`output_dim` must be a multiple of `groups`={groups}, got {output_dim}."
            )
        self.groups = groups
        self.entries = entries
        self.output_dim = output_dim
        self.temperature = tuple(temperature)
        self.choice = keras.layers.Dense(
            groups * entries,
            kernel_initializer=keras.initializers.RandomNormal(stddev=1.0),
            dtype="float32",
            name="choice",
        )
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, x_shape):
        """Create the codebooks."""
        self.choice.build(x_shape)
        self.codebooks = self.add_weight(
            name="codebooks",
            shape=(self.groups, self.entries, self.output_dim // self.groups),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            dtype="float32",
        )
        self.steps = self.add_weight(
            name="steps", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )

    def call(self, x, training=None):
        """Quantize; see the class for the arguments."""
        batch, frames = ops.shape(x)[:2]
        logits = self.choice(ops.cast(x, "float32"))
        logits = ops.reshape(logits, (batch, frames, self.groups, self.entries))
        probabilities = ops.softmax(logits, axis=-1)
        if training:
            start, factor, least = self.temperature
            temperature = ops.maximum(start * ops.power(factor, self.steps), least)
            self.steps.assign_add(1.0)
            uniform = keras.random.uniform(
                ops.shape(logits), minval=1e-6, maxval=1.0 - 1e-6, seed=self.seed_generator
            )
            soft = ops.softmax((logits - ops.log(-ops.log(uniform))) / temperature, axis=-1)
        else:
            soft = probabilities
        chosen = ops.argmax(soft, axis=-1)
        hard = ops.one_hot(chosen, self.entries, dtype="float32")
        # The value of the hard choice, the gradient of the soft one.
        choice = ops.stop_gradient(hard - soft) + soft if training else hard
        quantized = ops.einsum("bfge,ged->bfgd", choice, self.codebooks)
        quantized = ops.reshape(quantized, (batch, frames, self.output_dim))
        codes = ops.zeros((batch, frames), "int32")
        for group in range(self.groups):
            codes = codes * self.entries + ops.cast(chosen[:, :, group], "int32")
        return quantized, probabilities, codes

    def compute_output_spec(self, x, training=None):
        """Shapes and dtypes of the outputs."""
        batch, frames = x.shape[:2]
        return (
            keras.KerasTensor((batch, frames, self.output_dim), dtype="float32"),
            keras.KerasTensor((batch, frames, self.groups, self.entries), dtype="float32"),
            keras.KerasTensor((batch, frames), dtype="int32"),
        )

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "groups": self.groups,
            "entries": self.entries,
            "output_dim": self.output_dim,
            "temperature": self.temperature,
        }
