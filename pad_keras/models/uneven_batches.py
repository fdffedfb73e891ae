"""Evaluation of batches that the devices of a data-parallel run cannot share evenly."""

import contextlib

import keras


class UnevenBatches:
    """Mixed into a `keras.Model`: `evaluate` and `predict` take batches of any size.

    `keras.distribution.DataParallel` splits each batch evenly, and the last one of a data set is
    often smaller, or a single utterance. So `evaluate`, also within `fit`, and `predict` give each
    batch whole to every device, whose weights are copies. They take the time of one device.
    """

    def evaluate(self, *args, **kwargs):
        """`keras.Model.evaluate`, each batch whole."""
        with _whole_batches():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """`keras.Model.predict`, each batch whole."""
        with _whole_batches():
            return super().predict(*args, **kwargs)


@contextlib.contextmanager
def _whole_batches():
    sharding = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(sharding)
