"""Means and how sure they are."""

import warnings
from typing import NamedTuple

import numpy as np
from scipy import stats


def mean_interval(values, confidence=0.95):
    """Mean of independent runs and the half width of its interval, by Student's t.

    Args:
        values: sequence of floats, one a seed.
        confidence: float.

    Returns:
        Tuple `(mean, half_width)`; the latter is `None` of a single value.

    Example:

    ```python
    mean_interval([0.5, 0.6, 0.7])  # (0.6, 0.248)
    ```
    """
    values = np.asarray(values, "float64")
    if len(values) < 2:
        return float(values.mean()), None
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error)


class Difference(NamedTuple):
    """A paired difference of two things that were measured under the same seeds.

    Args:
        mean: float, of the differences.
        interval: float, half width of the interval of the mean; `None` of a single pair.
        p: float, two-sided p value of the paired t test; `None` of a single pair, or if all
            differences are 0.
        n: int, pairs.
    """

    mean: float
    interval: float | None
    p: float | None
    n: int


def paired_difference(values, others, confidence=0.95):
    """How much one thing exceeds another, seed by seed, by the paired t test.

    Args:
        values: sequence of floats, one a seed.
        others: sequence of floats, of the same seeds.
        confidence: float, of the interval.

    Returns:
        `Difference` of `values` minus `others`.

    Raises:
        ValueError: if the two differ in length, or are empty.

    Example:

    ```python
    paired_difference([0.6, 0.7, 0.9], [0.5, 0.5, 0.6])  # (0.2, 0.248, 0.074, 3)
    ```
    """
    values, others = np.asarray(values, "float64"), np.asarray(others, "float64")
    if values.shape != others.shape or not values.size:
        raise ValueError(
            f"`values` and `others` must pair up, got {values.size} and {others.size} values."
        )
    mean, interval = mean_interval(values - others, confidence)
    if len(values) < 2 or not np.any(values - others):
        return Difference(mean, interval, None, len(values))
    with warnings.catch_warnings():
        # Differences that are all alike are no mistake of the caller's; p is then near 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        p = float(stats.ttest_rel(values, others).pvalue)
    return Difference(mean, interval, p, len(values))
