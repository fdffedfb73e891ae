"""What a significance prior weighs: pure functions on one utterance without padding."""

import numpy as np
import scipy.stats

from pad_keras.metrics.alignment import frame_seconds

# Of fewer words there is no order to agree on.
_LEAST_WORDS = 3


def frames_of_words(count, times):
    """Which frames belong to which words: those whose middle lies within.

    Args:
        count: int, frames.
        times: `[words, 2]` float, start and end in seconds.

    Returns:
        `[words, frames]` bool.
    """
    frames = np.arange(count)
    middles = frame_seconds(np.stack([frames, frames + 1], axis=1)).mean(axis=1)
    times = np.asarray(times, "float64").reshape(-1, 2)
    return (times[:, :1] <= middles) & (middles < times[:, 1:])


def silence_weight(significance, words):
    """How much more than evenly a prior weighs the frames outside of words.

    Args:
        significance: `[frames]`, sums to 1.
        words: `[words, frames]` bool, see `frames_of_words`.

    Returns:
        float, 1 for an even prior, 0 where all weight is on words; NaN without such frames.
    """
    silent = ~words.any(axis=0)
    return float(significance[silent].sum() / silent.mean()) if silent.any() else float("nan")


def spread(significance):
    """Over how large a share of its units a prior is spread: its perplexity by their number.

    Args:
        significance: `[units]`, sums to 1.

    Returns:
        float, 1 for an even prior, `1 / units` for a single unit.
    """
    positive = significance[significance > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()) / len(significance))


def anchored_words(anchors, words):
    """Share of words that hold an anchor.

    Args:
        anchors: `[anchors]` int, frames.
        words: `[words, frames]` bool.

    Returns:
        float.
    """
    return float(words[:, anchors].any(axis=1).mean())


def word_weights(significance, units, count):
    """Weight of each word, the sum over its units.

    Args:
        significance: `[units]`.
        units: `[units]` int, each one's word.
        count: int, words.

    Returns:
        `[words]`.
    """
    return np.bincount(units, weights=significance, minlength=count)


def agreement(weights, others):
    """Whether two priors put words in the same order.

    Args:
        weights: `[words]`.
        others: `[words]`.

    Returns:
        float, Spearman's rank correlation; NaN of fewer than three words, or of equal weights.
    """
    if len(weights) < _LEAST_WORDS or np.ptp(weights) == 0 or np.ptp(others) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(weights, others).statistic)


def shift(weighted, plain):
    """How far weights move the pooled vectors of a corpus, by how far these lie apart.

    Args:
        weighted: `[utterances, dim]`, means weighted by a prior.
        plain: `[utterances, dim]`, plain means.

    Returns:
        float, mean squared distance of the two over the variance of the plain ones.
    """
    moved = np.square(weighted - plain).sum(axis=1).mean()
    return float(moved / np.square(plain - plain.mean(axis=0)).sum(axis=1).mean())
