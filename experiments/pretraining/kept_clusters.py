"""Clusters of a stage on disk, with what they were computed from."""

import json
import warnings

import numpy as np

from pad_keras.callbacks.training_state import differences
from pad_keras.files import replaced_file

_FINGERPRINT = "fingerprint"


def write_clusters(path, fingerprint, centres, clusters):
    """Write the clusters of every frame.

    Args:
        path: `pathlib.Path`.
        fingerprint: dict of JSON's types, what the clusters depend on.
        centres: `[clusters, dim]` array.
        clusters: dict from name of a corpus to a list of `[frames]` arrays, a recording each.
    """
    arrays = {"centres": centres}
    for name, frames in clusters.items():
        arrays[f"{name}_clusters"] = np.concatenate(frames)
        arrays[f"{name}_frames"] = np.array([len(one) for one in frames])
    with replaced_file(path, durable=True) as file:
        np.savez(file, **{_FINGERPRINT: np.array(json.dumps(fingerprint))}, **arrays)


def read_clusters(path, fingerprint, names):
    """Read what `write_clusters` wrote, unless it is of something else.

    Args:
        path: `pathlib.Path`.
        fingerprint: dict of JSON's types, what the clusters are to depend on.
        names: iterable of str, of the corpora.

    Returns:
        Dict from name of a corpus to a list of `[frames]` arrays; `None` if there is no such file,
        or, with a warning, if it is damaged.

    Raises:
        ValueError: naming the file and what differs, if the clusters depend on something else.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            # Files from before there was a fingerprint do not tell.
            was = dict(json.loads(str(file[_FINGERPRINT]))) if _FINGERPRINT in file.files else {}
            clusters = {
                name: np.split(file[f"{name}_clusters"], np.cumsum(file[f"{name}_frames"])[:-1])
                for name in names
            }
    except (OSError, MemoryError):
        # What the machine cannot do just now is no damage.
        raise
    except Exception as error:  # A damaged archive raises errors of many kinds.
        warnings.warn(
            f"The clusters {path} are damaged ({type(error).__name__}: {error}). They are made "
            "anew.",
            stacklevel=2,
        )
        return None
    if changes := differences(was, json.loads(json.dumps(fingerprint))):
        raise ValueError(
            f"The clusters {path} are of another configuration ({changes}). Give the old one to go "
            "on, or another --name to start anew."
        )
    return clusters
