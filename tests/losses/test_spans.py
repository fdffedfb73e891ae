import numpy as np
import pytest
from keras import ops

from pad_keras.losses import functional
from tests.backend import compiled, finite_differences, gradient, numpy_of
from tests.losses import reference
from tests.losses.batches import SIZES, batch, utterances

SCALES = (0.5, 1.0, 2.0)
FRAMES = np.array([n for n, _ in SIZES], "int32")
UNITS = np.array([m for _, m in SIZES], "int32")


def speech_batch():
    return batch(utterances())[1]


@pytest.mark.parametrize("per_unit", [0.1, 1.0, 2.0, 2.5])
def test_anchor_counts_equal_the_formula(per_unit):
    counts = numpy_of(functional.anchor_counts(FRAMES, UNITS, per_unit))
    assert counts.tolist() == [reference.anchor_count(n, m, per_unit) for n, m in SIZES]


@pytest.mark.parametrize("radius", [0, 1, 2, 30])
def test_anchors_are_the_best_frames_local_maxima_first(radius):
    units = speech_batch()
    counts = numpy_of(functional.anchor_counts(FRAMES, UNITS))
    anchors = numpy_of(
        functional.select_anchors(units["significance"], units["mask"], counts, radius)
    )
    for row, (n, _) in enumerate(SIZES):
        prior = units["significance"][row, :n].astype("float64")
        wanted = reference.significant_anchors(prior, counts[row], radius)
        assert anchors[row, : counts[row]].tolist() == wanted
        assert np.all(anchors[row, counts[row] :] == -1)


@pytest.mark.parametrize("per_unit", [0.35, 0.7, 1.15, 2.1, 5.9])
def test_counts_are_those_of_double_precision(per_unit):
    units = np.arange(200)
    counts = numpy_of(functional.anchor_counts(np.full(200, 2000), units, per_unit))
    assert counts.tolist() == [reference.anchor_count(2000, m, per_unit) for m in units]
    assert counts.tolist() == [functional.most_anchors(m, per_unit) for m in units]
    more = numpy_of(functional.anchor_counts([9000, 9000], [1500, 3000], 2.0))
    assert more.tolist() == [3000, 6000]


def test_frames_that_hardly_differ_stand_in_their_order():
    prior = np.full((1, 100), 0.01, "float32")
    prior[0, ::4] = 0.012
    # In float32 nothing is left of the difference once 1 is subtracted.
    prior[0, 50] = 0.01000002
    found = numpy_of(functional.select_anchors(prior, np.ones((1, 100)), [26], radius=4))
    assert found[0, 25] == 50


def test_half_a_frame_over_is_rounded_up():
    starts, ends = functional.anchor_spans([[5]], [15], [13], scales=(1.3,))
    assert numpy_of(ends - starts).tolist() == [[2]]


def test_constant_significance_takes_the_earliest_frames():
    mask = np.arange(12)[None] < np.array([[12], [5]])
    anchors = functional.select_anchors(mask / mask.sum(-1, keepdims=True), mask, [4, 3], 2)
    anchors = numpy_of(anchors)
    assert anchors[0].tolist() == [0, 1, 2, 3] + [-1] * 8
    assert anchors[1].tolist() == [0, 1, 2] + [-1] * 9


def test_a_static_width_cuts_the_result():
    units = speech_batch()
    counts = functional.anchor_counts(FRAMES, UNITS)
    whole = numpy_of(functional.select_anchors(units["significance"], units["mask"], counts))
    cut = functional.select_anchors(units["significance"], units["mask"], counts, max_anchors=12)
    np.testing.assert_array_equal(numpy_of(cut), whole[:, :12])


def test_lists_are_taken_as_in_the_examples():
    assert numpy_of(functional.even_anchors([[1] * 8], [2]))[0, :3].tolist() == [2, 6, -1]
    sums = functional.span_sums(np.ones((1, 4, 1), "float32"), [[0]], [[3]])
    assert numpy_of(sums).tolist() == [[[3.0]]]
    loss = functional.alignment_loss([[0.5, 1.0]], [[0.5, 0.5]])
    assert float(numpy_of(loss)) == pytest.approx(-0.75)


def test_even_anchors_lie_in_the_middle_of_equal_parts():
    mask = np.arange(23)[None] < FRAMES[:, None]
    counts = numpy_of(functional.anchor_counts(FRAMES, UNITS))
    anchors = numpy_of(functional.even_anchors(mask, counts))
    for row, (n, _) in enumerate(SIZES):
        assert anchors[row, : counts[row]].tolist() == reference.even_anchors(n, counts[row])
        assert np.all(anchors[row, counts[row] :] == -1)


def test_spans_equal_the_formula_and_missing_anchors_give_empty_ones():
    anchors = np.full((len(SIZES), 7), -1, "int32")
    for row, (n, _) in enumerate(SIZES):
        chosen = [0, n // 2, n - 1]
        anchors[row, :3] = chosen
    starts, ends = numpy_of(functional.anchor_spans(anchors, FRAMES, UNITS, SCALES))
    assert starts.shape == (len(SIZES), 7 * len(SCALES))
    for row, (n, m) in enumerate(SIZES):
        wanted = reference.spans(anchors[row, :3].tolist(), n, m, SCALES)
        assert list(zip(starts[row, :9].tolist(), ends[row, :9].tolist(), strict=True)) == wanted
        assert not starts[row, 9:].any()
        assert not ends[row, 9:].any()


@pytest.mark.parametrize("weighted", [False, True])
def test_pooled_spans_equal_the_loops(weighted):
    units = speech_batch()
    anchors = functional.select_anchors(units["significance"], units["mask"], UNITS)
    starts, ends = functional.anchor_spans(anchors, FRAMES, UNITS, SCALES)
    weights = units["significance"] if weighted else None
    pooled = numpy_of(functional.pool_spans(units["embeddings"], starts, ends, weights))
    starts, ends = numpy_of((starts, ends))
    checked = 0
    for row, span in np.ndindex(*starts.shape):
        start, end = starts[row, span], ends[row, span]
        if end == start:
            assert not pooled[row, span].any()
            continue
        frames = units["embeddings"][row].astype("float64")
        row_weights = None if weights is None else weights[row]
        wanted = reference.pool(frames, start, end, row_weights)
        np.testing.assert_allclose(pooled[row, span], wanted, atol=1e-5)
        checked += 1
    assert checked > 30


def test_pooling_stays_exact_over_a_minute_of_frames_far_from_zero():
    rng = np.random.default_rng(1)
    frames = (100 + rng.normal(size=(1, 3000, 4))).astype("float32")
    starts = np.array([[0, 5, 1500, 2990]])
    ends = starts + np.array([[3000, 1, 40, 10]])
    pooled = numpy_of(functional.pool_spans(frames, starts, ends))
    for span in range(4):
        wanted = frames[0, starts[0, span] : ends[0, span]].astype("float64").mean(0)
        np.testing.assert_allclose(pooled[0, span], wanted, rtol=1e-6)


def test_word_spans_hold_the_pieces_of_each_word():
    # [CLS] walk ##ing the sing ##ed [SEP]; one word; none.
    is_piece = np.array([[0, 1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    continues = np.array([[0, 0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    starts, ends = numpy_of(compiled(functional.word_spans)(is_piece, continues))
    found = [
        [(int(a), int(b)) for a, b in zip(*row, strict=True) if b > a]
        for row in zip(starts, ends, strict=True)
    ]
    assert found == [[(1, 3), (3, 4), (4, 6)], [(1, 4)], []]


def test_nan_past_the_spans_reaches_neither_value_nor_gradient():
    frames = np.ones((1, 6, 2), "float32")
    frames[:, 4:] = np.nan

    def total(x):
        return ops.sum(functional.pool_spans(x, [[0, 2]], [[2, 4]]))

    assert np.isfinite(gradient(total, frames)[:, :4]).all()
    np.testing.assert_allclose(numpy_of(functional.pool_spans(frames, [[0]], [[4]])), 1.0)


@pytest.mark.parametrize("wrt", ["frames", "weights"])
def test_gradient_of_pooling_equals_finite_differences(wrt):
    rng = np.random.default_rng(2)
    frames, weights = rng.normal(size=(1, 7, 2)), rng.random((1, 7)) + 0.2
    spans = [(0, 3), (2, 7), (4, 5)]
    starts, ends = np.array([spans]).transpose(2, 0, 1)
    scale = rng.normal(size=(1, 3, 2))

    def ours(x):
        given = {"frames": frames.astype("float32"), "weights": weights.astype("float32"), wrt: x}
        pooled = functional.pool_spans(given["frames"], starts, ends, given["weights"])
        return ops.sum(pooled * ops.convert_to_tensor(scale, "float32"))

    def loops(x):
        given = {"frames": frames, "weights": weights, wrt: x}
        pooled = [reference.pool(given["frames"][0], a, b, given["weights"][0]) for a, b in spans]
        return float((np.stack(pooled) * scale[0]).sum())

    at = {"frames": frames, "weights": weights}[wrt]
    np.testing.assert_allclose(gradient(ours, at), finite_differences(loops, at), atol=1e-4)


def test_compiled_anchors_and_spans_equal_the_eager_ones():
    units = speech_batch()

    def chain(significance, embeddings):
        counts = functional.anchor_counts(FRAMES, UNITS)
        anchors = functional.select_anchors(significance, units["mask"], counts, max_anchors=12)
        starts, ends = functional.anchor_spans(anchors, FRAMES, UNITS, SCALES)
        return functional.pool_spans(embeddings, starts, ends)

    arguments = units["significance"], units["embeddings"]
    eager, fast = numpy_of(chain(*arguments)), numpy_of(compiled(chain)(*arguments))
    np.testing.assert_allclose(fast, eager, atol=1e-5)


def test_special_tokens_between_words_are_in_none():
    # [CLS] a b [SEP] c ##d [SEP]; [CLS] ##a b c [SEP]; [CLS] ##a [SEP] ##b ##c [SEP].
    is_piece = [[0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0, 0]]
    continues = [[0, 0, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0, 0]]
    starts, ends = numpy_of(
        compiled(functional.word_spans)(np.array(is_piece), np.array(continues))
    )
    found = [
        [(int(a), int(b)) for a, b in zip(*row, strict=True) if b > a]
        for row in zip(starts, ends, strict=True)
    ]
    assert found == [[(1, 2), (2, 3), (4, 6)], [(1, 2), (2, 3), (3, 4)], [(1, 2), (3, 5)]]
