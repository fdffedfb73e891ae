import pytest
from scipy import stats

from experiments.comparison.measures import Run, difference, estimate, gap_closed
from experiments.statistics import paired_difference


def test_a_paired_difference_is_scipys():
    values, others = [0.61, 0.72, 0.93, 0.60], [0.52, 0.55, 0.61, 0.58]
    found = paired_difference(values, others)
    test = stats.ttest_rel(values, others)
    low, high = test.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.mean - found.interval, found.mean + found.interval) == pytest.approx((low, high))
    assert found.n == 4


def test_a_paired_difference_by_hand():
    # Differences 1, 2, 3: standard error 1 / sqrt(3), t = 2 sqrt(3) of 2 degrees of freedom.
    found = paired_difference([2, 4, 6], [1, 2, 3])
    assert found == pytest.approx((2.0, 4.3027 / 3**0.5, 0.0742, 3), rel=1e-3)
    assert paired_difference([0.5], [0.3]) == (pytest.approx(0.2), None, None, 1)
    assert paired_difference([0.5, 0.6], [0.5, 0.6]) == (0.0, 0.0, None, 2)
    with pytest.raises(ValueError, match="must pair up, got 2 and 1 values"):
        paired_difference([1, 2], [1])


def runs(values):
    """Runs of `{distillation seed: {head seed: value}}`."""
    return [Run(v, head, seed) for seed, heads in values.items() for head, v in heads.items()]


def test_heads_are_averaged_within_a_distillation_seed():
    found = estimate(runs({0: {0: 0.4, 1: 0.6}, 1: {0: 0.6, 1: 0.6}, 2: {0: 0.7, 1: 0.7}}))
    # Of 0.5, 0.6 and 0.7, not of six values.
    assert found["mean"] == pytest.approx(0.6)
    assert found["interval"] == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3)
    assert (found["n"], found["over"]) == (3, "distillation seeds")
    two = estimate(runs({0: {0: 0.4}, 1: {0: 0.6}}))
    assert two["interval"] is None
    heads = estimate(runs({None: {0: 0.5, 1: 0.6, 2: 0.7}}))
    assert (heads["n"], heads["over"]) == (3, "head seeds")
    assert heads["interval"] == pytest.approx(found["interval"])


def test_distilled_encoders_pair_by_distillation_seed():
    first = {0: {0: 0.5, 1: 0.7}, 1: {0: 0.8, 1: 0.8}, 2: {0: 0.9, 1: 0.9}, 3: {0: 0.1, 1: 0.1}}
    second = {2: {0: 0.6, 1: 0.6}, 0: {0: 0.5, 1: 0.5}, 1: {0: 0.6, 1: 0.6}}
    found = difference(runs(first), runs(second))
    expected = paired_difference([0.6, 0.8, 0.9], [0.5, 0.6, 0.6])
    assert found["n"] == 3
    for name in ("mean", "interval", "p"):
        assert found[name] == pytest.approx(getattr(expected, name))


def test_what_is_not_distilled_pairs_by_head_seed():
    undistilled = {None: {0: 0.2, 1: 0.3, 2: 0.4}}
    # The head seed 2 of the first is missing.
    distilled = {0: {0: 0.5, 1: 0.5}, 1: {0: 0.6, 1: 0.6}, 2: {0: 0.7, 1: 0.7}}
    found = difference(runs(distilled), runs(undistilled))
    assert (found["mean"], found["n"]) == (pytest.approx(0.35), 3)
    assert found["over"] == "distillation seeds"
    opposite = difference(runs(undistilled), runs(distilled))
    assert opposite["mean"] == pytest.approx(-found["mean"])
    topline = {None: {0: 0.8, 1: 1.0, 2: 0.9}}
    found = difference(runs(topline), runs(undistilled))
    assert (found["n"], found["over"]) == (3, "head seeds")
    assert found["p"] == pytest.approx(stats.ttest_rel([0.8, 1.0, 0.9], [0.2, 0.3, 0.4]).pvalue)
    assert difference(runs({0: {0: 0.5}}), runs({1: {0: 0.5}})) is None


def test_two_pairs_have_no_p_value():
    found = difference(runs({0: {0: 0.5}, 1: {0: 0.7}}), runs({0: {0: 0.4}, 1: {0: 0.4}}))
    assert (found["interval"], found["p"], found["n"]) == (None, None, 2)


def test_the_gap_that_is_closed():
    undistilled, topline = runs({None: {0: 0.2}}), runs({None: {0: 1.0}})
    distilled = runs({0: {0: 0.4}, 1: {0: 0.6}, 2: {0: 0.8}})
    found = gap_closed(distilled, undistilled, topline)
    assert (found["mean"], found["n"]) == (pytest.approx(0.5), 3)
    assert found["interval"] == pytest.approx(4.3027 * 0.2 / 3**0.5 / 0.8, rel=1e-3)
    # Of an error rate, down is up.
    assert gap_closed(distilled, topline, undistilled, lower_is_better=True)["mean"] == (
        pytest.approx(0.5)
    )
    assert gap_closed(distilled, topline, undistilled) is None
    assert gap_closed(distilled, topline, topline) is None
