import itertools

import numpy as np
import pytest
from keras import ops

from pad_keras.losses.functional import ctc_feasible, ctc_loss
from tests.backend import BACKEND, compiled, finite_differences, gradient, numpy_of

WAYS = [False, pytest.param(True, marks=pytest.mark.skipif(BACKEND != "tensorflow", reason="its"))]


def by_enumeration(logits, target):
    """Negative log probability of a target: the sum over every path that collapses to it."""
    shares = np.exp(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        collapsed = [token for token, _ in itertools.groupby(path) if token]
        if collapsed == list(target):
            total += np.prod([shares[frame, token] for frame, token in enumerate(path)])
    return -np.log(total)


@pytest.fixture
def batch():
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    frames = np.array([5, 4, 3, 2])
    mask = np.arange(5) < frames[:, None]
    # The last needs three frames: two labels and a blank between.
    targets = np.array([[1, 2, 2], [1, 1, 0], [2, 0, 0], [1, 1, 0]])
    return logits, mask, targets, np.array([3, 2, 1, 2])


def expected(logits, mask, targets, lengths):
    losses = []
    for row in range(len(logits)):
        frames, target = mask[row].sum(), targets[row][: lengths[row]]
        repeats = sum(a == b for a, b in itertools.pairwise(target))
        is_feasible = frames >= len(target) + repeats
        loss = by_enumeration(logits[row, :frames], target) / len(target) if is_feasible else 0
        losses.append(loss)
    return np.mean(losses)


@pytest.fixture(params=WAYS, ids=lambda way: "kernel" if way else "loop")
def loss(request):
    """The loss as a function of arrays, each way that the backend has."""

    def of(*arrays):
        return ctc_loss(*map(ops.convert_to_tensor, arrays), tensorflow_kernel=request.param)

    return of


def test_it_is_the_sum_over_paths(loss, batch):
    assert float(numpy_of(loss(*batch))) == pytest.approx(expected(*batch), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(loss, batch):
    logits, *rest = batch
    slopes = finite_differences(lambda x: expected(x, *rest), logits)
    np.testing.assert_allclose(gradient(lambda x: loss(x, *rest), logits), slopes, atol=1e-5)


def test_too_few_frames_count_as_nothing(loss, batch):
    logits, mask, targets, lengths = batch
    feasible = ctc_feasible(*map(ops.convert_to_tensor, (targets, lengths, mask.sum(1))))
    assert numpy_of(feasible).tolist() == [True, True, True, False]
    slope = gradient(lambda x: loss(x, mask, targets, lengths), logits)
    assert np.isfinite(slope).all()
    assert not slope[3].any()
    assert slope[0].any()


@pytest.mark.parametrize("empty", ["targets", "frames"])
def test_nothing_counts_as_nothing(loss, batch, empty):
    logits, mask, targets, lengths = batch
    if empty == "frames":
        mask = np.zeros_like(mask)
    else:
        lengths = np.zeros_like(lengths)
    assert float(numpy_of(loss(logits, mask, targets, lengths))) == 0
    assert not gradient(lambda x: loss(x, mask, targets, lengths), logits).any()


@pytest.mark.parametrize("padding", [50.0, np.nan])
def test_padding_of_logits_changes_nothing(loss, batch, padding):
    logits, *rest = batch
    garbage = np.where(rest[0][:, :, None], logits, np.float32(padding))
    values = [float(numpy_of(loss(x, *rest))) for x in (logits, garbage)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert np.isfinite(gradient(lambda x: loss(x, *rest), garbage)).all()


def test_it_compiles(batch):
    tensors = [ops.convert_to_tensor(x) for x in batch]
    found = float(numpy_of(compiled(ctc_loss)(*tensors)))
    assert found == pytest.approx(expected(*batch), rel=1e-5)
