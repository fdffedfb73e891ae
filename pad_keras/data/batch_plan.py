"""Which utterances make which batch, decided before any audio is read."""

import numpy as np


class BatchPlan:
    """Batches of utterances of like length, in an order that the seed and the epoch decide.

    Batch k of the stream is the same whether the stream started at batch 0 or at k, so that a
    resumed run sees what an unbroken one would have seen.

    Args:
        seconds: sequence of floats, durations of the utterances.
        batch_size: int.
        shuffle: bool. If true an epoch's batches are drawn anew: lengths are jittered, sorted
            and cut, and the batches shuffled; the remainder of `len(seconds) / batch_size`, other
            utterances each epoch, is left out. If false the batches run from the shortest
            utterances to the longest and the last one may be smaller.
        seed: int.
        jitter: float, standard deviation of the noise on log durations that mixes the batches.

    Attributes:
        batches_per_epoch: int.

    Raises:
        ValueError: if no batch comes about.

    Example:

    ```python
    plan = BatchPlan([u.seconds for u in utterances], batch_size=8, shuffle=True)
    plan.order(epoch=0)  # positions of utterances, batch after batch
    ```
    """

    def __init__(self, seconds, batch_size, shuffle=False, seed=0, jitter=0.05):
        self.seconds = np.asarray(seconds, "float64")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.jitter = jitter
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
        whole, rest = divmod(len(self.seconds), batch_size)
        self.batches_per_epoch = whole if shuffle else whole + bool(rest)
        if not self.batches_per_epoch:
            raise ValueError(
                f"{len(self.seconds)} utterances make no batch of {batch_size}; use a smaller "
                "`batch_size` or more utterances."
            )

    @property
    def utterances_per_epoch(self):
        """Number of utterances that an epoch reads."""
        return min(len(self.seconds), self.batches_per_epoch * self.batch_size)

    def order(self, epoch):
        """Positions of an epoch's utterances, batch after batch.

        Args:
            epoch: int; without `shuffle` all epochs are alike.

        Returns:
            `[utterances_per_epoch]` int64 array.
        """
        if not self.shuffle:
            return np.argsort(self.seconds, kind="stable")
        generator = np.random.default_rng((self.seed, epoch))
        chosen = generator.permutation(len(self.seconds))[: self.utterances_per_epoch]
        noise = np.exp(generator.normal(scale=self.jitter, size=len(chosen)))
        chosen = chosen[np.argsort(self.seconds[chosen] * noise, kind="stable")]
        batches = chosen.reshape(self.batches_per_epoch, self.batch_size)
        return generator.permutation(batches).reshape(-1)

    def padding_share(self, boundaries=None, epoch=0):
        """Share of a padded epoch that is padding.

        Args:
            boundaries: sorted array of lengths in seconds up to which batches are padded;
                `None` pads to the longest of the batch.
            epoch: int.

        Returns:
            float between 0 and 1.
        """
        seconds = self.seconds[self.order(epoch)]
        padded = 0.0
        for start in range(0, len(seconds), self.batch_size):
            batch = seconds[start : start + self.batch_size]
            length = batch.max()
            if boundaries is not None:
                length = boundaries[np.searchsorted(boundaries, length - 1e-9)]
            padded += length * len(batch)
        return 1.0 - seconds.sum() / padded

    def boundaries(self, buckets):
        """Lengths up to which batches are padded: few, so that a compiler meets few shapes.

        Args:
            buckets: int, their number: quantiles of the durations.

        Returns:
            sorted array of at most `buckets` floats in seconds; the last is the longest.
        """
        return np.unique(np.quantile(self.seconds, np.linspace(0, 1, buckets + 1)[1:]))
