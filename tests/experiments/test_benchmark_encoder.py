import json

import numpy as np
from keras import ops

from experiments.benchmarks import computations, encoder
from tests.backend import BACKEND


def test_encoder_is_compared_with_transformers(tmp_path, capsys):
    rows = encoder.main(encoder.Settings(tiny=True, out=tmp_path))
    assert [row[0] for row in rows] == ["forward, 2 x 0.5 s", "training, 2 x 0.5 s"]
    assert all(row[1].low <= row[1].median <= row[1].high and row[2].median > 0 for row in rows)
    written = json.loads((tmp_path / f"encoder-mini-float32-{BACKEND}.json").read_text())
    assert written["versions"]["backend"] == BACKEND
    for detail in written["details"]:
        assert {len(seconds) for seconds in detail["times"].values()} == {2}
    assert "transformers / ours" in capsys.readouterr().out


def test_operations_of_an_encoder_are_counted():
    class Small:
        conv_filters, conv_kernels, conv_strides = (3, 5), (4, 2), (2, 2)
        hidden_dim, intermediate_dim, num_layers = 8, 16, 2
        positional_kernel, positional_groups = 4, 2

    # 20 samples, 9 frames after the first convolution, 4 after the second.
    front_end = 9 * 4 * 1 * 3 + 4 * 2 * 3 * 5
    around = 4 * 5 * 8 + 4 * 4 * 8 * 8 // 2
    layer = 4 * (4 * 8 * 8 + 2 * 8 * 16) + 2 * 4 * 4 * 8
    expected = 2 * 3 * (front_end + around + 2 * layer)
    assert computations.encoder_operations(Small, batch=3, samples=20) == expected


def test_gradient_of_a_function():
    x = np.array([1.0, -2.0], "float32")
    value, gradient = computations.gradient(lambda v: ops.sum(v * v), x)()
    np.testing.assert_allclose(value, 5.0)
    np.testing.assert_allclose(gradient, 2 * x)


def test_gradient_to_what_mixed_precision_computes():
    x = ops.cast(np.array([1.0, -2.0]), "bfloat16")
    value, gradient = computations.gradient(lambda v: ops.sum(ops.cast(v, "float32") ** 2), x)()
    np.testing.assert_allclose(value, 5.0)
    np.testing.assert_allclose(gradient.astype("float32"), [2.0, -4.0])
