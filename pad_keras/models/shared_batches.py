"""Models that train and evaluate on several devices as they do on one."""

import contextlib
import inspect

import keras

from pad_keras import replicas


class SharedBatches:
    """Mixed into a `keras.Model`: several devices share each batch that it is trained on.

    They do within the scope of a `keras.distribution.DataParallel` (JAX) or of a
    `tf.distribute.MirroredStrategy` (TensorFlow), in which the model must be made, too. A loss sees
    the whole batch, so that one that contrasts its utterances, or averages over its frames, is that
    of one device.

    Both split batches evenly, and the last one of a data set is often smaller, or a single
    utterance. So `evaluate`, also within `fit`, `predict` and `predict_on_batch` give each batch
    whole to every device, whose weights are copies. They take the time of one device. Of several
    processes, all must give the same batch.

    With `tf.distribute`, `fit`, `evaluate` and `predict` take a `tf.data.Dataset`; that of `fit` of
    batches whose size is a multiple of the number of devices. XLA does not compile then: it cannot
    reach the variables of several devices.
    """

    def fit(self, *args, **kwargs):
        """`keras.Model.fit`, each batch shared."""
        strategy = replicas.strategy_of(self)
        if strategy is None:
            return super().fit(*args, **kwargs)
        given = _arguments(super().fit, args, kwargs)
        _count(given, "x", "steps_per_epoch")
        _count(given, "validation_data", "validation_steps")
        given["x"] = replicas.split(strategy, given.get("x"))
        if given.get("validation_data") is not None:
            given["validation_data"] = replicas.copied(strategy, given["validation_data"])
        replicas.part_seeds(strategy, self)
        return super().fit(**given)

    def compile_from_config(self, config):
        """Compile a loaded model as it was when it was saved.

        Keras' own does so for models alone whose `compile` is Keras', and these have theirs.

        Args:
            config: dict, as `get_compile_config` gives it.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            # So that its state can be loaded.
            self.optimizer.build(self.trainable_variables)

    def evaluate(self, *args, **kwargs):
        """`keras.Model.evaluate`, each batch whole."""
        given = self._with_copied_batches(super().evaluate, args, kwargs)
        with _whole_batches():
            return super().evaluate(**given)

    def predict(self, *args, **kwargs):
        """`keras.Model.predict`, each batch whole."""
        given = self._with_copied_batches(super().predict, args, kwargs)
        with _whole_batches():
            return super().predict(**given)

    def predict_on_batch(self, *args, **kwargs):
        """`keras.Model.predict_on_batch`, the batch whole."""
        with _whole_batches():
            return super().predict_on_batch(*args, **kwargs)

    def make_train_function(self, force=False):
        """`keras.Model.make_train_function`, without XLA for several replicas."""
        self._leave_out_xla()
        return super().make_train_function(force)

    def make_test_function(self, force=False):
        """`keras.Model.make_test_function`, without XLA for several replicas."""
        self._leave_out_xla()
        return super().make_test_function(force)

    def make_predict_function(self, force=False):
        """`keras.Model.make_predict_function`; of copied batches, one copy's predictions."""
        self._leave_out_xla()
        there = self.predict_function is not None and not force
        result = super().make_predict_function(force)
        strategy = replicas.strategy_of(self)
        if strategy is not None and not there:
            self.predict_function = replicas.first_copy(strategy, self.predict_function)
        return result

    def predict_step(self, *args):
        """`keras.Model.predict_step`; of several replicas each gives predictions of its own."""
        outputs = super().predict_step(*args)
        return outputs if replicas.strategy_of(self) is None else replicas.own(outputs)

    def _leave_out_xla(self):
        if replicas.strategy_of(self) is not None:
            self.jit_compile = False

    def _with_copied_batches(self, function, args, kwargs):
        given = _arguments(function, args, kwargs)
        strategy = replicas.strategy_of(self)
        if strategy is not None:
            _count(given, "x", "steps")
            given["x"] = replicas.copied(strategy, given.get("x"))
        return given

    def _compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # Keras' hook before `compute_loss`, which subclasses define.
        strategy = replicas.strategy_of(self)
        if strategy is None:
            return super()._compute_loss(x, y, y_pred, sample_weight, training)
        x = self._inputs_of_loss(x)
        if training:
            x, y, y_pred, sample_weight = replicas.gathered((x, y, y_pred, sample_weight))
        loss = super()._compute_loss(x, y, y_pred, sample_weight, training)
        if self._compile_loss is not None:  # Keras has divided it.
            return loss
        # What all replicas compute is added up.
        return loss / strategy.num_replicas_in_sync

    def _inputs_of_loss(self, x):
        """The part of a batch that `compute_loss` uses beside targets and predictions."""
        return None


def _arguments(function, args, kwargs):
    """Arguments by name."""
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    return {**given.pop("kwargs", {}), **given}


def _count(given, data, steps):
    """Say how many batches a data set has: once distributed, it does not know."""
    count = replicas.count_of(given.get(data))
    if given.get(steps) is None and count is not None:
        given[steps] = count
        # Keras takes further epochs from where the last one ended.
        given[data] = given[data].repeat()


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
