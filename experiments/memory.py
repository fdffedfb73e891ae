"""Whether the updates of an experiment fit into memory, told before the first of them."""

import pathlib
import warnings

import keras

from pad_keras.data import SAMPLE_RATE
from pad_keras.models.wav2vec2.memory import training_bytes

_MEMINFO, _CGROUP = pathlib.Path("/proc/meminfo"), pathlib.Path("/sys/fs/cgroup")
_KIBIBYTE, _GIGABYTE = 1024, 1e9
# Above this share of what is there, what `training_bytes` leaves out may be too much.
_TIGHT = 0.6


def check_memory(backbone, batch_size, seconds, instead, from_frames=False):
    """Refuse updates that cannot fit into this machine's memory; warn of those that hardly do.

    The memory of a GPU is not looked at: backends say themselves what does not fit there.

    Args:
        backbone: `Wav2Vec2Backbone`.
        batch_size: int, utterances of an update.
        seconds: float, longest utterance.
        instead: str, what a user can do.
        from_frames: bool, whether the front end's frames are read from a cache.

    Raises:
        ValueError: with what is needed and what there is.
    """
    there = available_bytes()
    if not backbone.trainable_weights or there is None or not _on_processor():
        return
    needed = training_bytes(backbone, batch_size, int(seconds * SAMPLE_RATE), from_frames)
    message = (
        f"An update of {batch_size} utterances of up to {seconds:.1f} s takes at least "
        f"{needed / _GIGABYTE:.1f} GB of memory, and {there / _GIGABYTE:.1f} GB are free. "
    )
    if needed > there:
        raise ValueError(f"{message}{instead[0].upper()}{instead[1:]}.")
    if needed > _TIGHT * there:
        warnings.warn(f"{message}If it runs out, {instead}.", stacklevel=2)


def available_bytes():
    """Memory that this process can still take, within the limit of its container.

    Returns:
        int, bytes; `None` where the system does not tell (it takes Linux).
    """
    try:
        lines = (line.split() for line in _MEMINFO.read_text().splitlines())
        kibibytes = {name.rstrip(":"): int(value) for name, value, *_ in lines}
        free = (kibibytes["MemAvailable"] + kibibytes["SwapFree"]) * _KIBIBYTE
    except (OSError, ValueError, KeyError):
        return None
    container = _container_bytes()
    return free if container is None else min(free, container)


def _container_bytes():
    """What a container's limit leaves (cgroup v2); `None` without one."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        lines = (line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # Files that the system keeps in memory as long as nobody needs it.
        return limit - used + int(dict(lines)["inactive_file"])
    except (OSError, ValueError, KeyError):
        return None


def _on_processor():
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if backend == "torch":
        import torch

        return not torch.cuda.is_available()
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")
