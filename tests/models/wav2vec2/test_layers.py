"""The backbone's layers against slow loops, and what they do in training."""

import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.models.wav2vec2.convolutions import ConvBlock, frame_counts, receptive_field
from pad_keras.models.wav2vec2.feature_encoder import FeatureEncoder
from pad_keras.models.wav2vec2.layers import PositionalConvEmbedding, SpecAugment
from pad_keras.models.wav2vec2.transformer import SelfAttention, TransformerLayer
from tests.backend import BACKEND

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)


def gelu(x):
    from math import erf

    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (719, 1), (720, 2), (16000, 49)])
def test_frame_counts_follow_the_chain(samples, frames):
    assert frame_counts(samples, KERNELS, STRIDES) == frames
    assert frame_counts(np.array([samples]), KERNELS, STRIDES).tolist() == [frames]


def test_one_frame_sees_25_milliseconds():
    assert receptive_field(KERNELS, STRIDES) == 400
    assert frame_counts(399, KERNELS, STRIDES) <= 0


@pytest.mark.parametrize(
    ("size", "stride", "length"), [(10, 5, 43), (3, 2, 20), (3, 2, 21), (2, 2, 9), (3, 1, 8)]
)
def test_a_convolution_equals_an_explicit_loop(size, stride, length):
    block = ConvBlock(5, size, stride, use_bias=True, norm="layer")
    x = np.random.default_rng(0).normal(size=(2, length, 4)).astype("float32")
    result = ops.convert_to_numpy(block(x))
    frames = (length - size) // stride + 1
    assert result.shape == (2, frames, 5)
    kernel = ops.convert_to_numpy(block.kernel).astype("float64")
    for row in range(2):
        for frame in range(frames):
            window = x[row, frame * stride : frame * stride + size]
            y = np.einsum("kc,kcf->f", window, kernel)
            y = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
            np.testing.assert_allclose(result[row, frame], gelu(y), atol=1e-5)


def test_the_group_norm_counts_real_frames_only():
    block = ConvBlock(3, 2, 2, norm="group")
    x = np.random.default_rng(0).normal(size=(2, 20, 1)).astype("float32")
    result = ops.convert_to_numpy(block(x, ops.convert_to_tensor([10, 6])))
    kernel = ops.convert_to_numpy(block.kernel)
    for row, count in enumerate((10, 6)):
        y = x[row].reshape(10, 2)[:count] @ kernel[:, 0]
        y = (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5)
        np.testing.assert_allclose(result[row, :count], gelu(y), atol=1e-5)


@pytest.mark.parametrize("taps", [4, 5])
def test_positions_equal_an_explicit_loop(taps):
    width, groups, frames, real = 6, 3, 9, 7
    layer = PositionalConvEmbedding(taps, groups)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, frames, width)).astype("float32")
    mask = np.arange(frames)[None] < real
    layer.build(x.shape)
    layer.gain.assign(rng.uniform(0.5, 2.0, size=taps))
    layer.bias.assign(rng.normal(size=width))
    result = ops.convert_to_numpy(layer(x, mask))
    gain, bias = ops.convert_to_numpy(layer.gain), ops.convert_to_numpy(layer.bias)
    kernel = ops.convert_to_numpy(layer.kernel).astype("float64")
    for tap in range(taps):
        kernel[tap] *= gain[tap] / np.linalg.norm(kernel[tap])
    x[:, real:] = 0
    for frame in range(real):
        y = bias.astype("float64")
        for tap in range(taps):
            source = frame + tap - taps // 2
            if 0 <= source < frames:
                for channel in range(width):
                    first = channel // 2 * 2
                    y[channel] += x[0, source, first : first + 2] @ kernel[tap, :, channel]
        np.testing.assert_allclose(result[0, frame], x[0, frame] + gelu(y), atol=1e-5)


@pytest.mark.parametrize(("share", "length"), [(0.1, 10), (0.5, 4), (0.05, 1)])
def test_masking_covers_the_asked_share_of_frames(share, length):
    layer = SpecAugment(time_prob=share, time_length=length)
    x = np.full((200, 100, 2), 7.0, "float32")
    masked = ops.convert_to_numpy(layer(x, training=True))[:, :, 0] != 7
    assert abs(masked.mean() - share) < 0.03
    # The edges are masked as often as the middle.
    assert abs(masked[:, 0].mean() - share) < 0.12


def test_masked_frames_come_in_spans_and_hold_the_learnt_vector():
    layer = SpecAugment(time_prob=0.3, time_length=5)
    x = np.full((20, 60, 3), 7.0, "float32")
    result = ops.convert_to_numpy(layer(x, training=True))
    masked = (result != 7).any(-1)
    np.testing.assert_array_equal(result[~masked], 7)
    vector = ops.convert_to_numpy(layer.mask_embedding)
    np.testing.assert_array_equal(result[masked], np.broadcast_to(vector, (masked.sum(), 3)))
    for row in masked:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        for start, end in edges.reshape(-1, 2):
            assert end - start >= 5 or start == 0 or end == 60


def test_masked_channels_are_zero_for_the_whole_utterance():
    layer = SpecAugment(feature_prob=0.3, feature_length=3)
    result = ops.convert_to_numpy(layer(np.ones((50, 4, 40), "float32"), training=True))
    assert (result == result[:, :1]).all()
    assert set(np.unique(result)) == {0.0, 1.0}
    assert abs((result == 0).mean() - 0.3) < 0.05


def test_nothing_is_masked_outside_training():
    layer = SpecAugment(time_prob=0.5, feature_prob=0.5)
    x = np.ones((2, 30, 8), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, training=False)), x)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_dropped_layer_is_the_identity_in_training_only(norm_first):
    layer = TransformerLayer(8, 2, 16, norm_first=norm_first, layer_drop=0.5)
    x = keras.random.normal((2, 6, 8), seed=1)
    mask = np.ones((2, 6), bool)
    whole = ops.convert_to_numpy(layer(x, mask, training=False))
    x_array = ops.convert_to_numpy(x)
    kept = 0
    for _ in range(60):
        result = ops.convert_to_numpy(layer(x, mask, training=True))
        is_identity = np.array_equal(result, x_array)
        assert is_identity or np.allclose(result, whole, atol=1e-6)
        kept += not is_identity
    assert 15 < kept < 45
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, mask, training=False)), whole)


def test_padded_keys_receive_and_give_nothing():
    layer = TransformerLayer(8, 2, 16, return_received=True)
    mask = np.arange(6)[None] < np.array([[4]])
    x = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
    y, received = layer(x, mask)
    x[:, 4:] = 100
    y_again, received_again = layer(x, mask)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (y[:, :4], y_again[:, :4])), atol=1e-6)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (received, received_again)), atol=1e-6)
    assert (ops.convert_to_numpy(received)[0, 4:] == 0).all()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA and torch keep no map for later")
def test_the_next_layer_waits_until_a_map_is_reduced():
    import tensorflow as tf

    attention = SelfAttention(8, 2, return_received=True)
    x, mask = tf.ones((1, 5, 8)), tf.ones((1, 5), tf.bool)
    graph = tf.function(attention).get_concrete_function(x, mask)
    output, received = (tensor.op.inputs[0].op for tensor in graph.outputs)
    before, ahead = set(), [output]
    while ahead:
        op = ahead.pop()
        before.add(op.name)
        ahead += [
            o for o in (*(i.op for i in op.inputs), *op.control_inputs) if o.name not in before
        ]
    assert received.name in before


def test_a_mask_is_not_spread_over_waveforms():
    encoder = FeatureEncoder((8,), (10,), (5,))
    with pytest.raises(ValueError, match=r"`padding_mask` \(1, 800\) must have the shape of"):
        encoder(np.ones((3, 800), "float32"), np.ones((1, 800), "bool"))
