"""Compiled forward and backward passes of a Keras model, and how many operations they take."""

import keras
import numpy as np
from keras import ops

from experiments.backends import resolve_jit
from experiments.benchmarks.measure import finished
from pad_keras.gpus import has_accelerator
from pad_keras.models.wav2vec2.convolutions import frame_counts

# A backward pass multiplies twice where the forward pass multiplies once.
TRAINING_FACTOR = 3
# A product of matrices of this size fills the device, and is long beside its dispatch.
_MATRIX, _MATRIX_ON_GPU = 2_048, 8_192


def forward(model, inputs, jit_compile=None):
    """The compiled forward pass of an encoder, with its significance prior.

    Hidden states of all layers are left out: on a GPU, bringing them to the host takes several
    times as long as computing them.

    Args:
        model: `Wav2Vec2Backbone`.
        inputs: dict of arrays.
        jit_compile: bool; see `experiments.backends.resolve_jit`.

    Returns:
        Function without arguments that gives `sequence_output` as an array.
    """
    wanted = ("sequence_output", "significance")
    model = keras.Model(model.inputs, {name: model.output[name] for name in wanted})
    model.compile(jit_compile=resolve_jit(jit_compile))
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    return lambda: model.predict_on_batch(inputs)["sequence_output"]


def forward_backward(model, inputs, output="sequence_output", jit_compile=None):
    """The compiled forward and backward pass of a model, to `half_square` of an output.

    Args:
        model: `keras.Model` whose outputs are a dict.
        inputs: nest of arrays.
        output: str, which of them, `[batch, frames, channels]`.
        jit_compile: bool; see `experiments.backends.resolve_jit`.

    Returns:
        Function without arguments that gives the loss and the gradient of the first trainable
        weight, once all gradients are computed.
    """
    backend = keras.backend.backend()
    build = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[backend]
    if backend != "jax":
        # JAX's compiled functions take arrays as they are.
        inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)

    def loss():
        return half_square(model(inputs, training=True)[output])

    def stateless_loss(trainable, fixed):
        outputs, _ = model.stateless_call(trainable, fixed, inputs, training=True)
        return half_square(outputs[output])

    def weights():
        # Anew each time: a training step in between gives away the arrays that were there.
        return [
            [v.value for v in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]

    if backend == "jax":
        return build(stateless_loss, weights, resolve_jit(jit_compile))
    return build(loss, weights()[0], resolve_jit(jit_compile))


def gradient(function, x, jit_compile=None):
    """The compiled gradient of a scalar function.

    Args:
        function: of one tensor, gives a scalar tensor.
        x: array.
        jit_compile: bool; see `experiments.backends.resolve_jit`.

    Returns:
        Function without arguments that gives value and gradient as arrays.
    """
    backend, jit_compile = keras.backend.backend(), resolve_jit(jit_compile)
    if backend == "jax":
        x = ops.convert_to_tensor(x)
        return _on_jax(lambda weights: function(weights[0]), lambda: [[x]], jit_compile)
    variable = keras.Variable(x)
    build = {"tensorflow": _on_tensorflow, "torch": _on_torch}[backend]
    return build(lambda: function(variable.value), [variable.value], jit_compile)


def compiled(function, *inputs):
    """Compile a function of arrays where the backend can, without running it.

    Args:
        function: of tensors.
        *inputs: nests of arrays.

    Returns:
        Function without arguments that gives its outputs as arrays.
    """
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        function = tf.function(function, autograph=False)
        function.get_concrete_function(*inputs)
    elif keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function).lower(*inputs).compile()
    else:
        import torch

        function = torch.no_grad()(function)
    return lambda: finished(function(*inputs))


def half_square(x):
    """The loss that is differentiated: the mean square of the first half of the channels.

    Of all channels a layer norm at the end makes it a constant, and the gradient mere rounding.

    Args:
        x: `[batch, frames, channels]` tensor.

    Returns:
        Scalar tensor.
    """
    x = ops.cast(x, "float32")
    return ops.mean(ops.square(x[:, :, : x.shape[-1] // 2]))


def _on_tensorflow(loss, weights, jit_compile):
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile)
    def differentiate():
        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, weights)
        # A number of each, so that none is optimised away; NumPy takes no scalar in bfloat16.
        return value, found[0], [tf.reduce_sum(tf.cast(g, "float32")) for g in found]

    return lambda: finished(differentiate())[:2]


def _on_jax(loss, arguments, jit_compile):
    import jax

    differentiate = jax.value_and_grad(loss)
    if jit_compile:
        differentiate = jax.jit(differentiate)

    def run():
        value, found = jax.block_until_ready(differentiate(*arguments()))
        return finished((value, found[0]))

    return run


def _on_torch(loss, weights, jit_compile):
    import torch

    def run():
        value = loss()
        found = torch.autograd.grad(value, weights, allow_unused=True)
        return finished((value, found[0]))

    return run


def encoder_operations(encoder, batch, samples):
    """Floating point operations of one forward pass in the products of matrices.

    Norms, activations and the softmax are left out, as usual.

    Args:
        encoder: `Wav2Vec2Backbone`.
        batch: int, utterances.
        samples: int, of each.

    Returns:
        int, a product and a sum counted as two.
    """
    products, frames, channels = 0, samples, 1
    layers = zip(encoder.conv_filters, encoder.conv_kernels, encoder.conv_strides, strict=True)
    for filters, kernel, stride in layers:
        frames = frame_counts(frames, (kernel,), (stride,))
        products += frames * kernel * channels * filters
        channels = filters
    dim, inner = encoder.hidden_dim, encoder.intermediate_dim
    products += frames * channels * dim
    products += frames * encoder.positional_kernel * dim * dim // encoder.positional_groups
    # Four projections, two feed-forward layers, and twice every frame by every frame.
    layer = frames * (4 * dim * dim + 2 * dim * inner) + 2 * frames * frames * dim
    return 2 * batch * (products + encoder.num_layers * layer)


def matrix_product(dtype="float32"):
    """A large product of matrices on the current backend, as a yardstick.

    Args:
        dtype: str, of the matrices.

    Returns:
        Tuple of a function without arguments that makes the product, and the floating point
        operations of one.
    """
    size = _MATRIX_ON_GPU if has_accelerator() else _MATRIX
    generator = np.random.default_rng(0)
    a, b = (ops.convert_to_tensor(generator.normal(size=(size, size)), dtype) for _ in range(2))
    # One number, lest copying the product be measured.
    return lambda: finished(ops.cast(ops.matmul(a, b)[0, 0], "float32")), 2 * size**3
