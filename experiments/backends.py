"""What the backends differ in."""

import contextlib
import functools

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

    Raises:
        ValueError: if devices are to share batches on TensorFlow, where XLA cannot.
    """
    if has_replicas():
        if jit_compile:
            raise ValueError(
                "`jit_compile` is True, and on TensorFlow XLA does not compile for several "
                "devices; leave it out, or set KERAS_BACKEND=jax."
            )
        return False
    if jit_compile is not None:
        return jit_compile
    backend = keras.backend.backend()
    return has_accelerator() if backend == "tensorflow" else backend == "jax"


def has_replicas():
    """Whether several devices share the batches of models that are made now, on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


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
    gains, on one device: JAX loops in Python, torch refuses, and replicas cannot loop together.

    Args:
        steps: int, of an epoch.

    Returns:
        int that divides `steps`, as `compile` takes it for `steps_per_execution`.
    """
    if keras.backend.backend() != "tensorflow" or has_replicas():
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
    backend = keras.backend.backend()
    if backend not in _DEVICES:
        raise ValueError(
            f"`devices` is {devices}, and on {backend} batches are not shared; set KERAS_BACKEND "
            f"to {' or '.join(_DEVICES)}, or leave `devices` at 1."
        )
    there = _DEVICES[backend]()
    if devices > len(there):
        raise ValueError(f"`devices` is {devices}, and {backend} has {len(there)} here: {there}.")
    if devices < len(there) and processes.count() > 1:
        raise ValueError(
            f"`devices` is {devices}, and the {processes.count()} processes have {len(there)} "
            f"together; each must have its share, so set `devices` to {len(there)}."
        )
    with _sharing(there[:devices]).scope():
        yield


def _tensorflow_devices():
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


_DEVICES = {"jax": keras.distribution.list_devices, "tensorflow": _tensorflow_devices}


@functools.cache
def _mirrored(devices):
    """The one strategy of a process: what a second one gathers would be taken for the first's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def _sharing(devices):
    if keras.backend.backend() == "tensorflow":
        return _mirrored(tuple(devices))
    # Each process gives its own rows, see `processes.own_rows`.
    return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)


def check_shareable(batch_size, devices, precision, accumulation=1):
    """Check that devices can share batches.

    Args:
        batch_size: int.
        devices: int.
        precision: str, dtype policy.
        accumulation: int, batches whose gradients make one update.

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
    if devices == 1 or keras.backend.backend() != "tensorflow":
        return
    if precision == "mixed_float16":
        # Keras there scales the loss by what one of them sees.
        raise ValueError(
            "`precision` is 'mixed_float16', and on TensorFlow that is not for several devices; "
            "take 'mixed_bfloat16', or set KERAS_BACKEND=jax."
        )
    if accumulation > 1:
        raise ValueError(
            f"Of {accumulation} batches the gradients are accumulated, and on TensorFlow several "
            f"devices, of which there are to be {devices}, cannot; set KERAS_BACKEND=jax, or leave "
            "`devices` at 1."
        )
