"""Caches of hidden states, announced before they are computed."""

import errno

from experiments.locks import one_after_another
from pad_keras import data


def announced_cache(title, encoder, utterances, folder, *, instead, **options):
    """Say how large a cache of hidden states is, and build it; one process after another.

    Args:
        title: str, what is kept.
        encoder: as `HiddenStateCache.build` takes it.
        utterances: list of `Utterance`.
        folder: path.
        instead: str, what a user can do whose disk is full.
        **options: of `HiddenStateCache.build` that decide its size: `pooled` and `dtype`.

    Returns:
        `HiddenStateCache`.

    Raises:
        OSError: if the disk has too little room.
        pad_keras.data.BadInputError: if audio is broken, naming it.
    """
    size = data.bytes_needed(encoder, utterances, **options)
    print(f"{title} of {len(utterances)} utterances: {size / 1e6:.1f} MB in {folder}")
    try:
        with one_after_another(folder), data.bad_input_explained():
            return data.HiddenStateCache.build(encoder, utterances, folder, **options)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC, f"{error.strerror}. Give another --out, or {instead}", str(folder)
        ) from error
