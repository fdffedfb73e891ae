"""Whether the updates of an experiment fit into memory, told before the first of them."""

import contextlib
import ctypes
import gc
import pathlib
import warnings

from pad_keras.gpus import has_accelerator
from pad_keras.models.wav2vec2.memory import training_bytes
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

_MEMINFO = pathlib.Path("/proc/meminfo")
_OWN_CGROUP, _CGROUPS = pathlib.Path("/proc/self/cgroup"), pathlib.Path("/sys/fs/cgroup")
_KIBIBYTE, _GIGABYTE = 1024, 1e9
# Above this share of what is there, what `training_bytes` leaves out may be too much.
_TIGHT = 0.4
# What the system keeps of files as long as nobody needs the memory.
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")


def check_memory(backbone, shapes, *, checkpointing, instead, from_frames=False, has_moments=False):
    """Refuse updates that cannot fit into this machine's memory; warn of those that may not.

    The memory of a GPU is not looked at: backends say themselves what does not fit there.

    Args:
        backbone: `Wav2Vec2Backbone`.
        shapes: iterable of `(utterances, seconds)`, the batches that may be the largest.
        checkpointing: str, the option that turns gradient checkpointing on.
        instead: str, what else a user can do.
        from_frames: bool, whether the front end's frames are read from a cache.
        has_moments: bool, whether the optimizer's moments are there already.

    Raises:
        ValueError: with what is needed and what there is.
    """
    if not backbone.trainable_weights or has_accelerator():
        return
    there = available_bytes()
    if there is None:
        return
    needed, utterances, seconds = max(
        (
            training_bytes(
                backbone, utterances, int(seconds * SAMPLE_RATE), from_frames, has_moments
            ),
            utterances,
            seconds,
        )
        for utterances, seconds in shapes
    )
    if not backbone.gradient_checkpointing:
        instead = f"set {checkpointing}, or {instead}"
    message = (
        f"An update of {utterances} utterances of up to {seconds:.1f} s takes at least "
        f"{needed / _GIGABYTE:.2g} GB of memory, and {there / _GIGABYTE:.2g} GB are free. "
    )
    if needed > there:
        raise ValueError(f"{message}{instead[0].upper()}{instead[1:]}.")
    if needed > _TIGHT * there:
        warnings.warn(f"{message}If it runs out, {instead}.", stacklevel=2)


def available_bytes():
    """Memory that this process can still take, within the limit of its container (cgroup v2).

    Returns:
        int, bytes; `None` where the system does not tell (it takes Linux).
    """
    _give_back()
    try:
        told = _fields(_MEMINFO)
        free = told["MemAvailable:"] * _KIBIBYTE
        swap = told["SwapFree:"] * _KIBIBYTE
    except (OSError, ValueError, KeyError):
        return None
    return min([free + swap, *(_left_by(folder, swap) for folder in _limited())])


def _give_back():
    """Return what earlier models left unused, which the system counts as taken."""
    gc.collect()
    # Of glibc; other C libraries have no such function.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _limited():
    """Folders of the groups of this process, inner ones first, that have a limit."""
    with contextlib.suppress(OSError):
        for line in _OWN_CGROUP.read_text().splitlines():
            if line.startswith("0::"):
                inner = _CGROUPS / line.removeprefix("0::").strip("/")
                groups = [inner, *inner.parents]
                for folder in groups[: groups.index(_CGROUPS) + 1]:
                    path = folder / "memory.max"
                    if path.is_file() and path.read_text().strip() != "max":
                        yield folder


def _left_by(folder, swap):
    """Bytes that the limit of a group leaves."""
    limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
    told = _fields(folder / "memory.stat")
    return limit - used + sum(told.get(name, 0) for name in _RECLAIMABLE) + swap


def _fields(path):
    """The first number of each line, by the word before it."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines}
