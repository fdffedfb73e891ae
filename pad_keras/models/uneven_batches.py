"""Evaluation of batches that the devices of a data-parallel run cannot share evenly."""

import contextlib

import keras


class UnevenBatches:
    """Mixed into a `keras.Model`: `evaluate` and `predict` take batches of any size.

    `keras.distribution.DataParallel` splits each batch evenly, and the last one of a data set is
    often smaller, or a single utterance. So `evaluate`, also within `fit`, `predict` and
    `predict_on_batch` give each batch whole to every device, whose weights are copies. They take
    the time of one device. Of several processes, all must give the same batch.
    """

    def evaluate(self, *args, **kwargs):
        """`keras.Model.evaluate`, each batch whole."""
        with _whole_batches():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """`keras.Model.predict`, each batch whole."""
        with _whole_batches():
            return super().predict(*args, **kwargs)

    def predict_on_batch(self, *args, **kwargs):
        """`keras.Model.predict_on_batch`, the batch whole."""
        with _whole_batches():
            return super().predict_on_batch(*args, **kwargs)


class _WholeBatches(keras.distribution.DataParallel):
    """Data-parallel but for the data: variables that are made meanwhile are copied as before."""

    def get_data_layout(self, data_shape):
        """No axis is split."""
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def _whole_batches():
    sharing = keras.distribution.distribution()
    if not isinstance(sharing, keras.distribution.DataParallel):
        return contextlib.nullcontext()
    return _WholeBatches(device_mesh=sharing.device_mesh, auto_shard_dataset=False).scope()
