"""How much of a batch is padding."""

import numpy as np

from pad_keras.data import BatchPlan, padding_share

COLUMNS = ["batch", "pipeline", "without buckets", "any lengths"]
# Shuffled ones, whose mean is taken.
EPOCHS = 10


def shares(utterances, batch_size):
    """Mean shares of padding of some shuffled epochs.

    Args:
        utterances: list of `Utterance`.
        batch_size: int.

    Returns:
        List, as `COLUMNS` names it: the batch size; the share in the pipeline's batches; in the
        same ones if each were padded to its own longest; in batches of utterances of any lengths,
        padded to their longest.
    """
    seconds = np.array([utterance.seconds for utterance in utterances])
    found = []
    for seed in range(EPOCHS):
        bucketed = padding_share(utterances, batch_size, seed=seed)
        unbucketed = BatchPlan(seconds, batch_size, shuffle=True, seed=seed).padding_share()
        order = np.random.default_rng(seed).permutation(seconds)
        batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
        mixed = 1 - batches.sum() / (batches.max(axis=1).sum() * batch_size)
        found.append((bucketed, unbucketed, mixed))
    return [batch_size, *np.mean(found, axis=0).tolist()]
