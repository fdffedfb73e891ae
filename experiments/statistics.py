"""Means and how sure they are."""

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
