import numpy as np
import pytest
from keras import ops

from pad_keras.losses import functional
from tests.backend import compiled, gradient, numpy_of

BATCH, FRAMES, DIM, CLASSES, NEGATIVES = 3, 7, 5, 4, 6


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    masked = np.zeros((BATCH, FRAMES), bool)
    masked[0, [1, 2, 5]] = masked[1, [0, 3, 4, 6]] = True
    masked[2, 4] = True  # One masked frame has no distractor.
    return {
        "x": generator.normal(size=(BATCH, FRAMES, DIM)).astype("float32"),
        "y": generator.normal(size=(BATCH, FRAMES, DIM)).astype("float32"),
        "prototypes": generator.normal(size=(CLASSES, DIM)).astype("float32"),
        "targets": generator.integers(CLASSES, size=(BATCH, FRAMES)),
        "codes": generator.integers(3, size=(BATCH, FRAMES)),
        "draws": generator.uniform(size=(BATCH, FRAMES, NEGATIVES)).astype("float32"),
        "masked": masked,
    }


def tensors(batch, *names):
    return [ops.convert_to_tensor(batch[name]) for name in names]


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def cross_entropy(logits, target):
    return np.log(np.exp(logits).sum()) - logits[target]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_cosine_logits(batch, dtype):
    x, prototypes = (ops.cast(t, dtype) for t in tensors(batch, "x", "prototypes"))
    found = numpy_of(functional.cosine_logits(x, prototypes, 0.1))
    expected = [
        [[cosine(frame, prototype) / 0.1 for prototype in batch["prototypes"]] for frame in row]
        for row in batch["x"]
    ]
    assert str(found.dtype) == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-4 if dtype == "float32" else 0.2)


def test_masked_cross_entropy_counts_masked_frames_alone(batch):
    logits = batch["x"][..., :CLASSES]
    expected = np.mean(
        [
            cross_entropy(logits[b, i], batch["targets"][b, i])
            for b, i in np.argwhere(batch["masked"])
        ]
    )
    targets = np.where(batch["masked"], batch["targets"], -1)
    found = functional.masked_cross_entropy(logits, targets, batch["masked"])
    assert float(numpy_of(found)) == pytest.approx(expected, rel=1e-5)
    slope = gradient(lambda x: functional.masked_cross_entropy(x, targets, batch["masked"]), logits)
    assert not slope[~batch["masked"]].any()
    nothing = functional.masked_cross_entropy(logits, targets, np.zeros_like(batch["masked"]))
    assert float(numpy_of(nothing)) == 0


def test_distractors_are_other_masked_frames_drawn_evenly(batch):
    draws = np.random.default_rng(1).uniform(size=(BATCH, FRAMES, 4000)).astype("float32")
    draws[..., 0], draws[..., 1] = 0.0, np.nextafter(np.float32(1), np.float32(0))
    found = numpy_of(functional.draw_negatives(draws, ops.convert_to_tensor(batch["masked"])))
    for b in (0, 1):
        positions = np.flatnonzero(batch["masked"][b])
        for i in positions:
            others = [p for p in positions if p != i]
            values, counts = np.unique(found[b, i], return_counts=True)
            assert values.tolist() == others
            assert counts.min() > 4000 / len(others) * 0.85
    assert found.min() >= 0
    assert found.max() < FRAMES


def expected_contrast(batch, negatives, codes):
    losses, hits = [], []
    for b, i in np.argwhere(batch["masked"]):
        if batch["masked"][b].sum() < 2:
            continue
        positive = cosine(batch["x"][b, i], batch["y"][b, i]) / 0.1
        distractors = [
            cosine(batch["x"][b, i], batch["y"][b, j]) / 0.1
            for j in negatives[b, i]
            if codes is None or codes[b, j] != codes[b, i]
        ]
        losses.append(cross_entropy(np.array([positive, *distractors]), 0))
        hits.append(all(positive > other for other in distractors))
    return np.mean(losses), np.mean(hits)


@pytest.mark.parametrize("excludes", [True, False])
def test_contrast(batch, excludes):
    draws, masked = tensors(batch, "draws", "masked")
    negatives = functional.draw_negatives(draws, masked)
    x, y, codes = tensors(batch, "x", "y", "codes")

    def contrast(x, y, codes, negatives, masked):
        codes = codes if excludes else None
        return functional.contrastive_loss(x, y, codes, negatives, masked, 0.1)

    arguments = (x, y, codes, negatives, masked)
    found = numpy_of(contrast(*arguments))
    codes = batch["codes"] if excludes else None
    expected = expected_contrast(batch, numpy_of(negatives), codes)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(numpy_of(compiled(contrast)(*arguments)), found, rtol=1e-4)


def test_one_code_for_all_is_no_way_out_unless_frames_of_one_code_are_excluded(batch):
    draws, masked = tensors(batch, "draws", "masked")
    negatives = functional.draw_negatives(draws, masked)
    same, codes = ops.ones((BATCH, FRAMES, DIM)), ops.zeros((BATCH, FRAMES), "int32")
    excluded = functional.contrastive_loss(same, same, codes, negatives, masked, 0.1)
    counted = functional.contrastive_loss(same, same, None, negatives, masked, 0.1)
    assert numpy_of(excluded) == pytest.approx((0, 1), abs=1e-6)
    assert numpy_of(counted) == pytest.approx((np.log(1 + NEGATIVES), 0), abs=1e-6)


def test_contrast_has_a_finite_gradient_in_half_precision_and_at_zero(batch):
    draws, masked, codes = tensors(batch, "draws", "masked", "codes")
    negatives = functional.draw_negatives(draws, masked)

    def loss(x, dtype):
        y = ops.cast(batch["y"], dtype)
        x = ops.cast(x, dtype)
        return functional.contrastive_loss(x, y, codes, negatives, masked, 0.1)[0]

    slope = gradient(lambda x: loss(x, "float16"), batch["x"])
    assert np.isfinite(slope).all()
    assert slope[0, 1].any()
    assert not slope[2].any()
    assert np.isfinite(gradient(lambda x: loss(x, "float32"), 0 * batch["x"])).all()


def test_diversity(batch):
    generator = np.random.default_rng(2)
    probabilities = generator.dirichlet(np.ones(5), size=(BATCH, FRAMES, 2)).astype("float32")
    perplexity = 0.0
    for group in range(2):
        mean = np.mean([probabilities[b, i, group] for b, i in np.argwhere(batch["masked"])], 0)
        perplexity += np.exp(-np.sum(mean * np.log(mean)))
    masked = ops.convert_to_tensor(batch["masked"])
    found = numpy_of(functional.diversity_loss(ops.convert_to_tensor(probabilities), masked))
    np.testing.assert_allclose(found, (1 - perplexity / 10, perplexity), rtol=1e-4)
    even = np.full_like(probabilities, 0.2)
    np.testing.assert_allclose(
        numpy_of(functional.diversity_loss(ops.convert_to_tensor(even), masked)),
        (0, 10),
        atol=1e-4,
    )
