import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.optimizers import ClippedAdam, MonitoredAdamW, global_norm, warmup_decay


def line(optimizer, **compile_arguments):
    """A model of one weight whose gradient on `x = 1, y = 0` is twice the weight."""
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.build((None, 1))
    model.compile(optimizer, loss="mse", **compile_arguments)
    return model


def step(model):
    model.train_on_batch(np.ones((1, 1), "float32"), np.zeros((1, 1), "float32"))


def norm_of(optimizer):
    return float(ops.convert_to_numpy(optimizer.gradient_norm))


def test_global_norm_is_that_of_one_long_vector():
    parts = [np.arange(4.0), np.ones((2, 3)), None]
    flat = np.concatenate([part.ravel() for part in parts if part is not None])
    tensors = [None if part is None else ops.convert_to_tensor(part) for part in parts]
    found = float(ops.convert_to_numpy(global_norm(tensors)))
    assert found == pytest.approx(np.linalg.norm(flat), rel=1e-6)


@pytest.mark.parametrize("clip", [None, 0.1])
def test_the_norm_is_noted_before_clipping(clip):
    model = line(MonitoredAdamW(1e-3, global_clipnorm=clip))
    step(model)
    assert norm_of(model.optimizer) == pytest.approx(2.0, rel=1e-5)


def test_the_norm_is_noted_after_loss_scaling_is_undone():
    optimizer = MonitoredAdamW(1e-3)
    model = line(keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0))
    step(model)
    assert norm_of(optimizer) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("clip", [None, 0.3, 30.0])
@pytest.mark.parametrize("accumulation", [None, 2])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(MonitoredAdamW, keras.optimizers.AdamW), (ClippedAdam, keras.optimizers.Adam)],
)
def test_it_updates_as_keras_does(ours, theirs, clip, accumulation):
    weights = []
    for kind in (ours, theirs):
        # A large epsilon: Adam's update would hardly depend on the gradient's size.
        model = line(
            kind(
                1e-1,
                epsilon=1.0,
                weight_decay=0.1,
                global_clipnorm=clip,
                gradient_accumulation_steps=accumulation,
            )
        )
        for _ in range(4):
            step(model)
        weights.append(model.get_weights()[0])
    np.testing.assert_allclose(*weights, rtol=1e-6)


def test_accumulated_steps_update_once():
    model = line(MonitoredAdamW(1e-2, gradient_accumulation_steps=3))
    before = model.get_weights()[0]
    step(model)
    step(model)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    step(model)
    assert model.get_weights()[0] < before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_changes_nothing_and_is_counted(bad):
    model = line(MonitoredAdamW(1e-2, weight_decay=0.0, global_clipnorm=1.0))
    before = model.get_weights()[0]
    model.train_on_batch(np.full((1, 1), bad, "float32"), np.zeros((1, 1), "float32"))
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert float(ops.convert_to_numpy(model.optimizer.nonfinite_gradients)) == 1
    assert not np.isfinite(norm_of(model.optimizer))
    step(model)
    assert model.get_weights()[0] < before
    assert float(ops.convert_to_numpy(model.optimizer.nonfinite_gradients)) == 1


@pytest.mark.parametrize("kind", [MonitoredAdamW, ClippedAdam])
def test_it_serialises(kind):
    optimizer = kind(1e-3, global_clipnorm=1.0)
    config = keras.optimizers.serialize(optimizer)
    restored = keras.optimizers.deserialize(config)
    assert isinstance(restored, kind)
    assert restored.get_config() == optimizer.get_config()


def test_the_rate_rises_linearly_and_falls_by_a_cosine():
    schedule = warmup_decay(1.0, warmup_steps=10, total_steps=110)
    rates = [float(ops.convert_to_numpy(schedule(i))) for i in range(111)]
    assert rates[0] > 0
    assert np.allclose(np.diff(rates[:11]), rates[1] - rates[0], atol=1e-5)
    assert max(rates) == pytest.approx(1.0) == rates[10]
    for i in (35, 60, 85, 110):
        share = (i - 10) / 100
        assert rates[i] == pytest.approx((1 + np.cos(np.pi * share)) / 2, abs=1e-5)


def test_without_warm_up_it_starts_at_the_peak():
    schedule = warmup_decay(1.0, warmup_steps=0, total_steps=4)
    assert float(ops.convert_to_numpy(schedule(0))) == pytest.approx(1.0)


def test_warm_up_must_end():
    with pytest.raises(ValueError, match="less than the 10 steps in all, got 10"):
        warmup_decay(1.0, warmup_steps=10, total_steps=10)
