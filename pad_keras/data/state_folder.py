"""The folder of a cache of hidden states: what its states are of, and whether they still fit."""

import dataclasses
import json
import logging
import re

import numpy as np

from pad_keras.data.audio import SAMPLE_RATE
from pad_keras.data.fingerprints import (
    StaleCacheError,
    config_hash,
    damage_explained,
    text_hash,
    weights_hash,
)
from pad_keras.data.state_layout import StateLayout
from pad_keras.files import check_room, write_atomically

_META = "meta.json"
_FORMAT = 2
_BYTES_IN_MB = 1e6
# Whole or not; what others keep in the folder stays.
_OWN_FILE = re.compile(r"([0-9a-f]{64}\.bin|meta\.json)(\..*\.partial)?")
# Of the encoder's configuration, what has no influence on its states in inference.
_OF_TRAINING = (
    "trainable",
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "feature_projection_dropout",
    "layer_drop",
    "mask_time_prob",
    "mask_time_length",
    "mask_feature_prob",
    "mask_feature_length",
    "freeze_feature_encoder",
    "gradient_checkpointing",
    "significance_layers",
    "stop_significance_gradient",
    "model_type",
)


def read_layout(folder):
    """Layout of the states in a folder.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `StateLayout`.

    Raises:
        FileNotFoundError: if the folder holds no cache.
        StaleCacheError: if its description is damaged.
    """
    if not (folder / _META).is_file():
        raise FileNotFoundError(
            f"No hidden states in {str(folder)!r}; make them with HiddenStateCache.build."
        )
    with damage_explained(folder):
        described = _described(folder)["layout"]
        for name in ("kernels", "strides"):
            # JSON has no tuples.
            described[name] = tuple(described[name])
        layout = StateLayout(**described)
        # Whatever does not compute fails here, and not in mid-training.
        layout.array_bytes(layout.frames(np.array([SAMPLE_RATE])))
    return layout


def read_fingerprint(folder):
    """Hash of what the states in a folder depend on, as it says itself.

    Args:
        folder: `pathlib.Path`.

    Returns:
        str.

    Raises:
        StaleCacheError: if its description is damaged.
    """
    with damage_explained(folder):
        return text_hash(json.dumps(_described(folder)["fingerprint"], sort_keys=True))


def fingerprint(backbone, layout):
    """What the states in a folder depend on.

    Args:
        backbone: `Wav2Vec2Backbone`, or what stands in for one.
        layout: `StateLayout`.

    Returns:
        Dict of str.
    """
    return {
        "encoder (weights)": weights_hash(backbone),
        "encoder (configuration)": config_hash(backbone, leave_out=_OF_TRAINING),
        # States computed in bfloat16 are not those computed in float32.
        "encoder (precision)": backbone.output["hidden_states"].dtype,
        "dtype": layout.dtype,
        "pooling": str(layout.pooled),
        "format": str(_FORMAT),
    }


def clear_if_stale(folder, layout, fingerprint):
    """See to it that a folder holds states of one fingerprint alone.

    Args:
        folder: `pathlib.Path`.
        layout: `StateLayout`.
        fingerprint: dict, as `fingerprint` gives it.
    """
    path = folder / _META
    if path.is_file():
        reason = _why_stale(folder, layout, fingerprint)
        if reason is None:
            return
        logging.getLogger(__name__).warning("%s They are made anew.", reason)
    # The description goes first and comes last: without it, whatever is there is removed.
    path.unlink(missing_ok=True)
    for pattern in ("??/*", "*"):
        for file in folder.glob(pattern):
            if _OWN_FILE.fullmatch(file.name):
                file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"layout": dataclasses.asdict(layout), "fingerprint": fingerprint}
    write_atomically(path, json.dumps(meta, indent=1))


def _why_stale(folder, layout, fingerprint):
    """Why the states in a folder cannot be used, or `None`."""
    try:
        found = read_layout(folder)
        with damage_explained(folder):
            was = dict(_described(folder)["fingerprint"])
    except StaleCacheError as error:
        return str(error)
    differing = [name for name in fingerprint if was.get(name) != fingerprint[name]]
    if not differing and found != layout:
        differing = ["layout"]
    if not differing:
        return None
    return f"The hidden states in {str(folder)!r} are of another {' and '.join(differing)}."


def check_space(folder, needed, missing, total):
    """Announce the size of what is to be written, and refuse what the disk cannot hold.

    Args:
        folder: `pathlib.Path`.
        needed: int, bytes.
        missing: int, utterances to encode.
        total: int, utterances of the corpus.

    Raises:
        OSError: if the disk has too little room.
    """
    logging.getLogger(__name__).info(
        "hidden states: %d of %d utterances to encode, %.1f MB",
        missing,
        total,
        needed / _BYTES_IN_MB,
    )
    check_room(folder, needed, "use another folder, or pooled=True where the head allows it")


def _described(folder):
    """What a folder's states are, as it says itself."""
    return json.loads((folder / _META).read_text(encoding="utf-8"))
