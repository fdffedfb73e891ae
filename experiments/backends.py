"""What the backends differ in."""

import contextlib

import keras

from experiments import processes
from pad_keras.gpus import has_accelerator

_MOST_STEPS_AT_ONCE = 50


def resolve_jit(jit_compile):
    """Resolve `None`: TensorFlow's kernels beat XLA on a CPU; torch needs a C++ compiler.

    Args:
        jit_compile: bool or `None`.

    Returns:
        bool, as `compile` takes it.
    """
    if jit_compile is not None:
        return jit_compile
    backend = keras.backend.backend()
    return has_accelerator() if backend == "tensorflow" else backend == "jax"


def keep_compilations(folder):
    """Have JAX keep what XLA compiles on an accelerator, for later jobs and processes.

    Jobs that differ in seeds or weights alone compile the same, and a new model compiles anew.
    A folder that the user has chosen (`JAX_COMPILATION_CACHE_DIR`) stays. TensorFlow and torch keep
    nothing, and nor does JAX on a processor: its variables may share memory with NumPy's arrays,
    such as those of a checkpoint, and a kept program that is loaded again frees it with its
    donated arguments (seen with JAX 0.5.3: a resumed run corrupted the heap).

    Args:
        folder: path.
    """
    if keras.backend.backend() != "jax" or not has_accelerator():
        return
    import jax

    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder))


def steps_at_once(steps):
    """How many steps of a small model to run without returning to Python between them.

    A small head computes for a millisecond and waits for Python for several. TensorFlow alone
    gains: JAX loops in Python, and torch refuses.

    Args:
        steps: int, of an epoch.

    Returns:
        int that divides `steps`, as `compile` takes it for `steps_per_execution`.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    return max(n for n in range(1, _MOST_STEPS_AT_ONCE + 1) if steps % n == 0)


@contextlib.contextmanager
def shared_among(devices):
    """Data-parallel training: models that are made within this have their batches split.

    Args:
        devices: int, how many devices share each batch: some of this machine, or all of all
            processes that have joined (`experiments.processes`).

    Raises:
        ValueError: if the backend or the machine has not that many.
    """
    if devices == 1 and processes.count() == 1:
        yield
        return
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"`devices` is {devices}, and on {keras.backend.backend()} batches are not shared; set "
            "KERAS_BACKEND=jax, or leave `devices` at 1."
        )
    there = keras.distribution.list_devices()
    if devices > len(there):
        raise ValueError(f"`devices` is {devices}, and JAX has {len(there)} here: {there}.")
    if devices < len(there) and processes.count() > 1:
        raise ValueError(
            f"`devices` is {devices}, and the {processes.count()} processes have {len(there)} "
            f"together; each must have its share, so set `devices` to {len(there)}."
        )
    # Each process gives its own rows, see `processes.own_rows`.
    sharing = keras.distribution.DataParallel(devices=there[:devices], auto_shard_dataset=False)
    with sharing.scope():
        yield


def check_divisible(batch_size, devices):
    """Check that devices can share batches.

    Args:
        batch_size: int.
        devices: int.

    Raises:
        ValueError: if they cannot.
    """
    if devices < 1:
        raise ValueError(f"`devices` must be at least 1, got {devices}.")
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` must be a multiple of `devices`, that each may have as many utterances; "
            f"got {batch_size} for {devices} devices."
        )
