"""SUPERB's SpecAugment against PyTorch's interpolation and slow loops."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from pad_keras.layers import FeatureSpecAugment
from pad_keras.layers.augmentation import (
    cubic_weights,
    mask_spans,
    span_mask,
    uniform_integers,
    warp_time,
)
from tests.backend import BACKEND, compiled, gradient, numpy_of

# (length, center, warped): both pieces stretched and shrunk, by much and by little, or as they are.
WARPS = [
    (30, 10, 14),
    (30, 10, 6),
    (30, 5, 1),
    (30, 24, 29),
    (25, 12, 13),
    (11, 5, 10),
    (30, 7, 7),
    (5, 0, 0),
    (1, 0, 0),
]


def features_of(lengths, frames, dim=6, padding=np.nan):
    """Random features whose padding holds something else."""
    x = np.full((len(lengths), frames, dim), padding, "float32")
    for seed, (row, length) in enumerate(zip(x, lengths, strict=True)):
        row[:length] = np.random.default_rng(seed).normal(size=(length, dim))
    return x


def mask_of(lengths, frames):
    return np.arange(frames)[None] < np.array(lengths)[:, None]


def int32(values):
    return ops.convert_to_tensor(np.array(values), "int32")


def warp_by_torch(x, center, warped):
    pieces = []
    for piece, size in ((x[:center], warped), (x[center:], len(x) - warped)):
        if len(piece):
            resized = torch.nn.functional.interpolate(
                torch.tensor(piece)[None, None],
                (size, piece.shape[1]),
                mode="bicubic",
                align_corners=False,
            )
            pieces.append(resized[0, 0].numpy())
    return np.concatenate(pieces)


def warp_by_a_loop(x, center, warped):
    result = np.zeros(x.shape)
    for frame in range(len(x)):
        piece, rank, size = x[center:], frame - warped, len(x) - warped
        if frame < warped:
            piece, rank, size = x[:center], frame, warped
        position = (rank + 0.5) * len(piece) / size - 0.5
        for tap in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            distance = abs(position - tap)
            if distance <= 1:
                weight = 1.25 * distance**3 - 2.25 * distance**2 + 1
            else:
                weight = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
            result[frame] += weight * piece[min(max(tap, 0), len(piece) - 1)]
    return result


# PyTorch computes positions in float32.
@pytest.mark.parametrize(
    ("reference", "tolerance"), [(warp_by_torch, 1e-5), (warp_by_a_loop, 2e-6)]
)
def test_a_warp_resizes_the_two_pieces_of_each_utterance(reference, tolerance):
    lengths, centers, warped = (int32(column) for column in zip(*WARPS, strict=True))
    x = features_of([length for length, _, _ in WARPS], frames=33)
    found = numpy_of(warp_time(ops.convert_to_tensor(x), lengths, centers, warped))
    for row, (length, center, warped_center) in enumerate(WARPS):
        expected = reference(x[row, :length], center, warped_center)
        np.testing.assert_allclose(found[row, :length], expected, atol=tolerance)


def test_a_warp_to_the_same_place_is_exactly_the_identity():
    lengths = np.arange(1, 31)
    x = features_of(lengths, frames=30)
    for centers in (np.zeros(30), lengths // 2):
        warped = warp_time(ops.convert_to_tensor(x), *map(int32, (lengths, centers, centers)))
        mask = mask_of(lengths, 30)
        np.testing.assert_array_equal(numpy_of(warped)[mask], x[mask])


def test_an_utterance_without_frames_is_no_error():
    x = ops.ones((1, 4, 2))
    assert np.isfinite(numpy_of(warp_time(x, int32([0]), int32([0]), int32([0])))).all()
    layer = FeatureSpecAugment()
    augmented = layer(x, mask=np.zeros((1, 4), bool), training=True)
    np.testing.assert_array_equal(numpy_of(augmented), 0)


def test_cubic_weights_sum_to_one_and_are_symmetric():
    fractions = np.linspace(0, 1, 17, dtype="float32")
    weights = np.stack(numpy_of(cubic_weights(ops.convert_to_tensor(fractions))))
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-6)
    np.testing.assert_array_equal(weights[:, 0], [0, 1, 0, 0])


def test_a_span_mask_equals_an_explicit_loop():
    generator = np.random.default_rng(0)
    starts = generator.integers(0, 40, size=(20, 3))
    widths = generator.integers(0, 9, size=(20, 3))
    expected = np.zeros((20, 40), bool)
    for row in range(20):
        for start, width in zip(starts[row], widths[row], strict=True):
            for position in range(start, min(start + width, 40)):
                expected[row, position] = True
    np.testing.assert_array_equal(numpy_of(span_mask(int32(starts), int32(widths), 40)), expected)


def test_integers_cover_their_range_and_never_leave_it():
    draws = np.concatenate([np.linspace(0, 1, 5000, endpoint=False), [1 - 2.0**-24]])
    draws = ops.convert_to_tensor(draws, "float32")
    for low, high in ((0, 1), (3, 10), (-4, 6), (5, 1000), (0, 4095)):
        found = numpy_of(uniform_integers(draws, low, high))
        assert (found.min(), found.max()) == (low, high - 1)
        counts = np.bincount(found - low)
        assert counts.max() - counts.min() <= 2
    np.testing.assert_array_equal(numpy_of(uniform_integers(draws, 7, 7)), 7)
    np.testing.assert_array_equal(numpy_of(uniform_integers(draws, 7, 2)), 7)


@pytest.mark.parametrize("length", [1, 5, 10, 11, 12, 40, 700])
def test_warps_stay_within_the_window(length):
    centers, warped = numpy_of(FeatureSpecAugment().warps(int32(np.full(4000, length))))
    if length <= 10:
        assert (centers == 0).all()
        assert (warped == 0).all()
        return
    assert centers.min() >= 5
    assert centers.max() <= length - 6
    assert len(set(centers)) > 0.9 * (length - 10)
    assert set(warped - centers) == set(range(-4, 6))
    assert warped.min() >= 1
    assert warped.max() < length


@pytest.mark.parametrize("length", [1, 5, 11, 24, 25, 49, 50, 300, 700, 1200])
def test_time_masks_are_as_many_and_as_wide_as_the_length_allows(length):
    starts, widths = numpy_of(FeatureSpecAugment().time_spans(int32(np.full(3000, length))))
    share = int(0.04 * length)
    bound = min(40, share)
    is_used = (widths > 0).any(0)
    # Masks of a bound of 1 have a width of 0.
    assert is_used.sum() == (min(share, 20) if bound > 1 else 0)
    assert is_used[: is_used.sum()].all()
    assert widths.min() == 0
    assert widths.max() == max(bound - 1, 0)
    assert starts.min() >= 0
    assert (starts + widths <= length).all()
    if bound > 1:
        counts = np.bincount(widths[:, 0], minlength=bound)
        np.testing.assert_allclose(counts / 3000, 1 / bound, atol=0.04)


def test_the_number_of_time_masks_is_the_floor_of_the_share():
    # With room for many, the last mask that may be used tells the number.
    lengths = np.arange(1, 1501)
    layer = FeatureSpecAugment(max_time_masks=61, max_time_mask_width=1000)
    used = np.zeros((1500, 61), bool)
    for _ in range(30):
        used |= numpy_of(layer.time_spans(int32(lengths))[1]) > 0
    shares = np.array([int(0.04 * length) for length in lengths])
    expected = np.arange(61) < np.where(shares > 1, shares, 0)[:, None]
    assert not used[~expected].any()
    assert used[expected & (shares > 2)[:, None]].all()


@pytest.mark.parametrize("dim", [6, 49, 768])
def test_channel_masks_are_four_of_less_than_fifty_channels(dim):
    starts, widths = numpy_of(FeatureSpecAugment().channel_spans(3000, dim))
    assert starts.shape == widths.shape == (3000, 4)
    assert set(widths.ravel()) == set(range(50))
    assert starts.min() == 0
    assert starts.max() < dim
    # What is wider than the features starts at the first channel.
    assert (starts <= np.maximum(dim - widths - 1, 0)).all()


def test_an_utterance_is_warped_and_then_masked():
    lengths = [130, 90, 8, 1]
    x = features_of(lengths, frames=130, dim=80)
    found = numpy_of(FeatureSpecAugment(seed=3)(x, mask=mask_of(lengths, 130), training=True))
    draws = FeatureSpecAugment(seed=3)
    warps = numpy_of(draws.warps(int32(lengths)))
    channels = numpy_of(draws.channel_spans(4, 80))
    times = numpy_of(draws.time_spans(int32(lengths)))
    for row, length in enumerate(lengths):
        expected = np.zeros((130, 80))
        expected[:length] = warp_by_a_loop(x[row, :length], warps[0][row], warps[1][row])
        for start, width in zip(channels[0][row], channels[1][row], strict=True):
            expected[:, start : start + width] = 0
        for start, width in zip(times[0][row], times[1][row], strict=True):
            expected[start : start + width] = 0
        np.testing.assert_allclose(found[row], expected, atol=2e-6)
        np.testing.assert_array_equal(found[row] == 0, expected == 0)


def test_padding_has_no_influence():
    lengths = [90, 40, 11, 5, 1]
    results = []
    for frames, padding in ((90, np.nan), (90, 0.0), (137, 1e9)):
        x = features_of(lengths, frames, padding=padding)
        layer = FeatureSpecAugment(seed=1, channel_mask_width=3)
        results.append(numpy_of(layer(x, mask=mask_of(lengths, frames), training=True)))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2][:, :90])
    np.testing.assert_array_equal(results[2][~mask_of(lengths, 137)], 0)


def test_without_a_mask_all_frames_are_real():
    x = features_of([60, 60], frames=60)
    arguments = {"seed": 2, "channel_mask_width": 3}
    found = FeatureSpecAugment(**arguments)(x, training=True)
    expected = FeatureSpecAugment(**arguments)(x, mask=np.ones((2, 60), bool), training=True)
    np.testing.assert_array_equal(*map(numpy_of, (found, expected)))


def test_nothing_happens_outside_of_training():
    x = features_of([60, 40], frames=60, padding=7.0)
    for training in (False, None):
        result = FeatureSpecAugment()(x, mask=mask_of([60, 40], 60), training=training)
        np.testing.assert_array_equal(numpy_of(result), x)


def test_each_part_can_be_turned_off():
    off = {"time_warp_window": 0, "channel_masks": 0, "max_time_masks": 0}
    x = features_of([130, 130], frames=130)
    np.testing.assert_array_equal(numpy_of(FeatureSpecAugment(**off)(x, training=True)), x)
    off = {"time_warp_window": 0, "channel_mask_width": 0, "time_mask_ratio": 0.0}
    np.testing.assert_array_equal(numpy_of(FeatureSpecAugment(**off)(x, training=True)), x)
    off = {"time_warp_window": 0, "max_time_masks": 0}
    masked = numpy_of(FeatureSpecAugment(channel_mask_width=4, **off)(x, training=True)) == 0
    assert masked.any()
    np.testing.assert_array_equal(masked, np.broadcast_to(masked[:, :1], masked.shape))


def test_draws_differ_from_call_to_call_and_from_row_to_row():
    x = np.ones((2, 130, 80), "float32")
    layer = FeatureSpecAugment(time_warp_window=0)
    first, second = (numpy_of(layer(x, training=True)) for _ in range(2))
    assert (first != second).any()
    assert (first[0] != first[1]).any()


def test_the_gradient_is_that_of_a_linear_function():
    lengths = [60, 40, 3]
    x = features_of(lengths, frames=60)
    mask = ops.convert_to_tensor(mask_of(lengths, 60))
    weights = ops.convert_to_tensor(np.random.default_rng(9).normal(size=x.shape), "float32")

    def score(features):
        layer = FeatureSpecAugment(seed=5, channel_mask_width=3)
        return ops.sum(weights * layer(features, mask=mask, training=True))

    slopes = gradient(score, x)
    np.testing.assert_array_equal(slopes[~numpy_of(mask)], 0)
    assert np.mean(slopes[numpy_of(mask)] != 0) > 0.3
    value = float(numpy_of(score(ops.convert_to_tensor(x))))
    np.testing.assert_allclose(np.sum(slopes * np.nan_to_num(x)), value, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[130, 90, 12, 1], [61, 60, 7, 30]])
def test_compiled_equals_eager(lengths):
    layer = FeatureSpecAugment(channel_mask_width=3)
    counts = int32(lengths)
    draws = layer.warps(counts), layer.channel_spans(4, 6), layer.time_spans(counts)

    def augment(features, mask, lengths, warps, channel_spans, time_spans):
        warped = warp_time(features, lengths, *warps)
        return mask_spans(warped, mask, channel_spans, time_spans)

    x = ops.convert_to_tensor(features_of(lengths, frames=130))
    mask = ops.convert_to_tensor(mask_of(lengths, 130))
    expected = numpy_of(augment(x, mask, counts, *draws))
    found = numpy_of(compiled(augment)(x, mask, counts, *draws))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(found == 0, expected == 0)


def test_a_compiled_layer_draws_by_its_seed():
    lengths = [130, 90, 12, 1]
    layer = FeatureSpecAugment(seed=4, channel_mask_width=3)
    state = [ops.convert_to_tensor(v) for v in layer.non_trainable_variables]
    x = ops.convert_to_tensor(features_of(lengths, frames=130))
    mask = ops.convert_to_tensor(mask_of(lengths, 130))

    def augment(state, features, mask):
        return layer.stateless_call([], state, features, mask=mask, training=True)

    fast = compiled(augment)
    first, next_state = fast(state, x, mask)
    again, _ = fast(state, x, mask)
    np.testing.assert_array_equal(numpy_of(first), numpy_of(again))
    other, _ = fast(next_state, x, mask)
    assert (numpy_of(first) != numpy_of(other)).any()
    assert np.isfinite(numpy_of(first)).all()
    # TensorFlow's compiler draws other numbers of a seed than TensorFlow without it.
    if BACKEND != "tensorflow":
        eager, _ = augment(state, x, mask)
        np.testing.assert_allclose(numpy_of(first), numpy_of(eager), atol=2e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces unknown shapes")
def test_one_trace_serves_every_length():
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, 6)), tf.TensorSpec((None, None), tf.bool)]
    layer = FeatureSpecAugment(seed=4, channel_mask_width=3)
    for jit_compile in (False, True):

        @tf.function(input_signature=signature, jit_compile=jit_compile)
        def augment(features, mask):
            return layer(features, mask=mask, training=True)

        for lengths in ([130, 12], [61, 60, 7]):
            x, mask = features_of(lengths, max(lengths)), mask_of(lengths, max(lengths))
            found = numpy_of(augment(x, mask))
            assert np.isfinite(found).all()
            np.testing.assert_array_equal(found[~mask], 0)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_rounds_the_result_only(policy, tolerance):
    arguments = {"seed": 6, "channel_mask_width": 3}
    lengths = [60, 40]
    half = FeatureSpecAugment(dtype=policy, **arguments)
    x = ops.cast(features_of(lengths, frames=60, padding=0.0), half.compute_dtype)
    mask = mask_of(lengths, 60)
    found = half(x, mask=mask, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == half.compute_dtype
    expected = FeatureSpecAugment(**arguments)(ops.cast(x, "float32"), mask=mask, training=True)
    found, expected = numpy_of(ops.cast(found, "float32")), numpy_of(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-6)


def test_it_rebuilds_from_its_config_and_from_a_file(tmp_path):
    layer = FeatureSpecAugment(3, 2, 7, 0.1, 5, 11, seed=8, name="augment")
    again = FeatureSpecAugment.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    inputs = keras.Input((None, 6))
    mask = keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], layer(inputs, mask=mask))
    assert model.output_shape == (None, None, 6)
    model.save(tmp_path / "augment.keras")
    restored = keras.saving.load_model(tmp_path / "augment.keras")
    assert restored.get_layer("augment").get_config() == layer.get_config()
    x = [features_of([60, 40], frames=60, padding=0.0), mask_of([60, 40], 60)]
    np.testing.assert_array_equal(numpy_of(model(x)), x[0])
    result = numpy_of(model(x, training=True))
    assert (result != x[0]).any()
    np.testing.assert_array_equal(numpy_of(restored(x, training=True)), result)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_warp_window", -1),
        ("channel_masks", 1.5),
        ("channel_mask_width", -3),
        ("time_mask_ratio", 1.2),
        ("max_time_masks", -1),
        ("max_time_mask_width", 0.5),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*{value}"):
        FeatureSpecAugment(**{name: value})
