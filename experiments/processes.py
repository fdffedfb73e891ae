"""Several processes that train one model together, on one machine or on many that share a disk.

Each is given the same command; Keras' own environment variables say who is who (see
`keras.distribution.initialize`), here for two processes on one machine:

    export KERAS_BACKEND=jax KERAS_DISTRIBUTION_JOB_ADDRESSES=localhost:1234
    export KERAS_DISTRIBUTION_NUM_PROCESSES=2
    KERAS_DISTRIBUTION_PROCESS_ID=0 python -m experiments.distill pad-slocal --training.devices 2 &
    KERAS_DISTRIBUTION_PROCESS_ID=1 python -m experiments.distill pad-slocal --training.devices 2

So can `experiments.slu` and `experiments.pretrain` be run. All do the same but for the rows of each
training batch that they compute, and all end with the same weights; the first one alone writes the
run's folder.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile

import keras

from experiments.locks import alone_in

_COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"


def join():
    """Find the other processes that the environment tells of, if it does; before JAX computes.

    Raises:
        ValueError: on a backend other than JAX.
    """
    if _COUNT not in os.environ:
        return
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"{_COUNT} is {os.environ[_COUNT]}, and on {keras.backend.backend()} processes do not "
            "train together; set KERAS_BACKEND=jax, or unset it."
        )
    import jax

    # What processors exchange gradients by; GPUs have their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    keras.distribution.initialize()


def count():
    """How many processes train together; 1 unless they have joined."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return jax.process_count()


def share():
    """Which part of every training batch is this process's.

    Returns:
        Tuple of ints: its number, and of how many equal parts.
    """
    return (0, 1) if count() == 1 else (_index(), count())


def _index():
    import jax

    return jax.process_index()


@contextlib.contextmanager
def written_by_the_first(folder, kept):
    """Work in a run's folder, whose files the first process alone writes.

    The others do as it does in a temporary folder of their own, which starts with copies of what
    a run goes on from. The first one waits until all have made them.

    Args:
        folder: path of the run.
        kept: sequence of str, the folders within it that a run goes on from.

    Yields:
        `pathlib.Path`, where this process reads and writes.

    Raises:
        experiments.locks.BusyError: if another run is at work in the folder.
    """
    folder = pathlib.Path(folder)
    if share()[0] == 0:
        with alone_in(folder):
            _wait_for_all()
            yield folder
        return
    with tempfile.TemporaryDirectory() as own:
        own = pathlib.Path(own) / folder.name
        for name in kept:
            if (folder / name).is_dir():
                shutil.copytree(folder / name, own / name)
        _wait_for_all()
        yield own


def _wait_for_all():
    """Go on when all processes have got here."""
    if count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("written_by_the_first")


@contextlib.contextmanager
def each_alone():
    """Models that are made within are of this process alone, and compute without the others."""
    shared = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(shared)


def own_rows(batches):
    """The rows of each batch that this process computes.

    Args:
        batches: `tf.data.Dataset`, the same in all processes, of batches that they can share.

    Returns:
        `tf.data.Dataset`.
    """
    index, parts = share()
    if parts == 1:
        return batches
    import tensorflow as tf

    def rows(tensor):
        size = tf.shape(tensor)[0] // parts
        return tensor[index * size : (index + 1) * size]

    def rows_of(*batch):
        # With targets a batch is a tuple, which `map` takes apart.
        return tf.nest.map_structure(rows, batch if len(batch) > 1 else batch[0])

    return batches.map(rows_of)
