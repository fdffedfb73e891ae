"""Adam and AdamW with a fast clipping by the global norm; the usual schedule of their rate."""

import keras
from keras import ops

from pad_keras import replicas


class GlobalClipping:
    """Mixed into a Keras optimizer: `global_clipnorm` as before, quicker to compile.

    XLA copies the sum of all gradients' squares into the update of each weight, so compiling a step
    of an encoder of two layers with Keras' own clipping takes JAX twenty times as long on a CPU
    (`experiments/benchmarks/clipping.py`), and longer the more weights there are. It does not copy
    products of vectors, which is how `global_norm` sums.
    """

    def _clip_gradients(self, grads):
        if not self.global_clipnorm or self.clipnorm:
            return super()._clip_gradients(grads)
        norm = global_norm(grads)
        scale = self.global_clipnorm / ops.maximum(norm, self.global_clipnorm)
        # A norm that is no number, or infinite, makes every gradient none, as Keras' does.
        scale += norm - norm
        return [None if g is None else g * ops.cast(scale, g.dtype) for g in grads]

    def _of_all_replicas(self, grads):
        """Gradients to clip; Keras would clip each replica's share by its own norm."""
        if keras.backend.backend() != "tensorflow":
            return grads
        strategy = self._distribution_strategy
        if self.gradient_accumulation_steps and strategy.num_replicas_in_sync > 1:
            # Keras would update within a condition, which replicas cannot do together.
            raise ValueError(
                f"`gradient_accumulation_steps` is {self.gradient_accumulation_steps}, and with "
                "tf.distribute gradients are not accumulated; leave it out and let the devices "
                "share batches as much larger, or use JAX."
            )
        return replicas.summed(strategy, grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        # Of Keras' update on TensorFlow: the sum is made before, by `_of_all_replicas`.
        return grads_and_vars


@keras.saving.register_keras_serializable(package="pad_keras")
class ClippedAdam(GlobalClipping, keras.optimizers.Adam):
    """`keras.optimizers.Adam`; `global_clipnorm` is quicker to compile.

    Args:
        *args: of `keras.optimizers.Adam`.
        **kwargs: of `keras.optimizers.Adam`.

    Example:

    ```python
    model.compile(optimizer=ClippedAdam(1e-4, global_clipnorm=1.0))
    ```
    """

    def apply(self, grads, trainable_variables=None):
        """Update the variables."""
        super().apply(self._of_all_replicas(grads), trainable_variables)


@keras.saving.register_keras_serializable(package="pad_keras")
class MonitoredAdamW(GlobalClipping, keras.optimizers.AdamW):
    """AdamW whose variable `gradient_norm` holds the last gradient's global norm.

    The norm is that of the gradient that reaches the optimizer: after loss scaling is undone,
    before any clipping, of one step of an accumulation. Where it is NaN or infinite, the gradient
    counts as zero, since one such step would make every weight NaN for good; the variable
    `nonfinite_gradients` counts those steps. (Keras' `LossScaleOptimizer` leaves such steps out
    itself, before they come here.) `global_clipnorm` is quicker to compile.

    Args:
        *args: of `keras.optimizers.AdamW`.
        **kwargs: of `keras.optimizers.AdamW`.

    Example:

    ```python
    optimizer = MonitoredAdamW(1e-4, global_clipnorm=1.0)
    model.compile(optimizer=optimizer)
    model.fit(data)
    float(optimizer.gradient_norm)
    ```
    """

    def build(self, variables):
        """Create the variables."""
        if self.built:
            return
        super().build(variables)
        self.gradient_norm = self.add_variable((), name="gradient_norm", dtype="float32")
        self.nonfinite_gradients = self.add_variable(
            (), name="nonfinite_gradients", dtype="float32"
        )

    def apply(self, grads, trainable_variables=None):
        """Update the variables and note the norm."""
        grads = self._of_all_replicas(grads)
        norm = global_norm(grads)
        finite = ops.isfinite(norm)
        # `where`, not a product: NaN times zero is NaN.
        kept = [None if g is None else ops.where(finite, g, ops.zeros_like(g)) for g in grads]
        super().apply(kept, trainable_variables)
        self.gradient_norm.assign(norm)
        self.nonfinite_gradients.assign_add(1.0 - ops.cast(finite, "float32"))


def global_norm(gradients):
    """Euclidean norm of all gradients together.

    Args:
        gradients: list of tensors; `None` entries are passed over.

    Returns:
        Scalar float32.
    """
    flat = [ops.reshape(ops.cast(g, "float32"), (-1,)) for g in gradients if g is not None]
    if not flat:
        return ops.zeros(())
    squares = ops.stack([ops.dot(x, x) for x in flat])
    # Products, not sums: see `GlobalClipping`.
    return ops.sqrt(ops.dot(squares, ops.ones_like(squares)))


def warmup_decay(peak, warmup_steps, total_steps, final_share=0.0):
    """Linear warm-up to a peak, then a cosine down.

    Args:
        peak: float, greatest learning rate.
        warmup_steps: int.
        total_steps: int, warm-up included.
        final_share: float, share of the peak that is left at the end.

    Returns:
        `keras.optimizers.schedules.CosineDecay`.

    Raises:
        ValueError: if the warm-up leaves no step to decay.

    Example:

    ```python
    optimizer = MonitoredAdamW(warmup_decay(1e-4, warmup_steps=100, total_steps=1000))
    ```
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"`warmup_steps` must be less than the {total_steps} steps in all, got {warmup_steps}."
        )
    return keras.optimizers.schedules.CosineDecay(
        # A first step at rate 0 would be lost.
        initial_learning_rate=peak / max(warmup_steps, 1),
        decay_steps=total_steps - warmup_steps,
        alpha=final_share,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
