"""The optimizer with which encoders are trained, pretraining and distillation alike."""

import keras

from pad_keras import optimizers

# As recommended for transformers: no decay of biases, norms and masks.
_NOT_DECAYED = ("bias", "gamma", "beta", "mask_embedding")


def encoder_optimizer(settings, warmup_steps, total_steps, **kwargs):
    """AdamW with linear warm-up and a cosine down to 0.

    Args:
        settings: has `learning_rate`, `weight_decay`, `clip_norm` and `precision`.
        warmup_steps: int, updates of the warm-up.
        total_steps: int, updates in all.
        **kwargs: of `MonitoredAdamW`.

    Returns:
        A Keras optimizer, with loss scaling in float16.
    """
    optimizer = optimizers.MonitoredAdamW(
        optimizers.warmup_decay(settings.learning_rate, warmup_steps, total_steps),
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
        **kwargs,
    )
    optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    if settings.precision == "mixed_float16":
        # Only a policy that is global makes Keras do so by itself.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
