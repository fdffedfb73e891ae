"""Gradient checkpointing: compute a layer again in the backward pass and keep less until then."""

import keras
from keras import ops


def recomputed(function, layer, generators):
    """A function of a layer that keeps its inputs alone, and is computed again for its gradient.

    Both times it draws the same random numbers, and on TensorFlow and JAX the layer's generators
    end where a plain call would leave them. (On torch dropout draws from torch's own generator,
    which `keras.remat` restores.)

    Args:
        function: of tensors, which uses the layer's variables and no others.
        layer: `keras.layers.Layer`.
        generators: list of `(SeedGenerator, int)`, which of the layer's generators the function
            draws from and how often.

    Returns:
        Function of the same tensors.

    Reference:
        Chen et al., "Training deep nets with sublinear memory cost" (arXiv 1604.06174).

    Example:

    ```python
    y = recomputed(lambda x: dense(dropout(x, training=True)), block, [(generator, 1)])(x)
    ```
    """
    # Copies: what the generators hold now changes in place on TensorFlow and torch.
    fixed = [(generator.state, ops.copy(generator.state.value)) for generator, _ in generators]
    if keras.backend.backend() == "jax":
        # `fit` keeps JAX's variables in a scope of its own, which the one below hides.
        seeds = {id(state) for state, _ in fixed}
        fixed += [(v, v.value) for v in layer.variables if id(v) not in seeds]
    # TensorFlow finds the gradient of variables that it sees itself, and of no other tensors.

    def from_fixed_states(*inputs):
        with keras.StatelessScope(state_mapping=fixed):
            return function(*inputs)

    for generator, draws in generators:
        for _ in range(draws):
            generator.next()
    return keras.remat(from_fixed_states)
