"""The copies of a model that a `tf.distribute` strategy keeps, and the batches that they share."""

import keras

# How far the seeds of two neighbours are apart.
_BETWEEN_SEEDS = 1_000_003


def strategy_of(model):
    """The strategy in whose scope a model was made, if several replicas train it.

    Args:
        model: `keras.Model`.

    Returns:
        `tf.distribute.Strategy`; `None` on another backend, and with one replica.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    strategy = model.distribute_strategy
    return strategy if strategy.num_replicas_in_sync > 1 else None


def split(strategy, batches):
    """Give each replica an equal part of each batch.

    Args:
        strategy: `tf.distribute.Strategy`.
        batches: `tf.data.Dataset`.

    Returns:
        `tf.distribute.DistributedDataset`; masks are int32 in it.

    Raises:
        TypeError: if it is no dataset.
    """
    import tensorflow as tf

    count = strategy.num_replicas_in_sync
    problem = f"A batch cannot be shared evenly among {count} devices; its size must be a multiple."

    def parts(tensor):
        if (tensor.shape[0] or 0) % count:
            raise ValueError(problem)
        size = tf.shape(tensor)[0]
        with tf.control_dependencies([tf.debugging.assert_equal(size % count, 0, problem)]):
            return tf.reshape(tensor, tf.concat([[count, size // count], tf.shape(tensor)[1:]], 0))

    return _distributed(strategy, batches, parts)


def copied(strategy, batches):
    """Give each replica all of each batch.

    Args:
        strategy: `tf.distribute.Strategy`.
        batches: `tf.data.Dataset`; what this has returned stays.

    Returns:
        `tf.distribute.DistributedDataset`; masks are int32 in it.

    Raises:
        TypeError: if it is no dataset.
    """
    import tensorflow as tf

    if isinstance(batches, tf.distribute.DistributedDataset):
        return batches
    count = strategy.num_replicas_in_sync
    return _distributed(strategy, batches, lambda tensor: tf.stack([tensor] * count))


def count_of(batches):
    """How many batches a data set has.

    Args:
        batches: `tf.data.Dataset`, or anything else.

    Returns:
        int; `None` where it is infinite or not known.
    """
    import tensorflow as tf

    count = int(batches.cardinality()) if isinstance(batches, tf.data.Dataset) else -1
    return count if count >= 0 else None


def _distributed(strategy, batches, parts):
    """A dataset whose elements' `parts`, stacked, go to one replica each."""
    import tensorflow as tf

    if not isinstance(batches, tf.data.Dataset):
        raise TypeError(
            "Devices share a `tf.data.Dataset` of batches, such as `pad_keras.data.pipeline` "
            f"gives; got {type(batches).__name__}."
        )

    def shared(*batch):
        # With targets a batch is a tuple, which `flat_map` takes apart.
        batch = batch if len(batch) > 1 else batch[0]
        return tf.data.Dataset.from_tensor_slices(
            # Keras averages the replicas' first batches, and truth values have no mean.
            tf.nest.map_structure(lambda tensor: parts(_without_bool(tensor)), batch)
        )

    # Consecutive elements go to different replicas.
    return strategy.distribute_datasets_from_function(lambda _: batches.flat_map(shared))


def _without_bool(tensor):
    import tensorflow as tf

    return tf.cast(tensor, "int32") if tensor.dtype == tf.bool else tensor


def gathered(tensors):
    """The rows of all replicas, one after the other, in each of them; gradients go back.

    Args:
        tensors: nest of tensors `[rows, ...]` and `None`.

    Returns:
        The nest, of tensors `[rows of all, ...]`.
    """
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()

    def gather(tensor):
        if tensor is None:
            return None
        tensor = tf.convert_to_tensor(tensor)
        rows = replica.all_gather(_without_bool(tensor), axis=0)
        # What a gathering of rows of any shape has forgotten.
        rows = tf.reshape(rows, tf.concat([[-1], tf.shape(tensor)[1:]], 0))
        return tf.cast(tf.ensure_shape(rows, [None, *tensor.shape[1:]]), tensor.dtype)

    return tf.nest.map_structure(gather, tensors)


def own(tensors):
    """Tensors of this replica, also where all return the same one, which would count as one.

    Args:
        tensors: nest of tensors.

    Returns:
        The nest.
    """
    import tensorflow as tf

    return tf.nest.map_structure(tf.identity, tensors)


def first_copy(strategy, predict_function):
    """Predictions of copied batches, without those of the copies.

    Args:
        strategy: `tf.distribute.Strategy`.
        predict_function: of a `keras.Model`, from a list of batches to their replicas' outputs.

    Returns:
        Function of the same kind.
    """
    import tensorflow as tf

    def first(tensor):
        return tensor[: tf.shape(tensor)[0] // strategy.num_replicas_in_sync]

    def predict(batches):
        each = [tf.nest.map_structure(first, predict_function([batch])) for batch in batches]
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *each)

    return predict


def part_seeds(strategy, model):
    """Let dropout and masking draw differently in each replica, whose seeds would be the same.

    The first one's stay as they are, and those of the others follow from them: so do a resumed
    run's.

    Args:
        strategy: `tf.distribute.Strategy`.
        model: `keras.Model`.
    """
    for variable in model.variables:
        if variable.name != "seed_generator_state":
            continue
        first, *others = strategy.experimental_local_results(variable.value)
        for number, copy in enumerate(others, 1):
            copy.assign(first + [number * _BETWEEN_SEEDS, 0])


def summed(strategy, gradients):
    """Gradients of the whole batch, from those of each replica's loss.

    Args:
        strategy: `tf.distribute.Strategy`.
        gradients: list of tensors; `None` entries stay.

    Returns:
        List.
    """
    import tensorflow as tf

    if strategy.num_replicas_in_sync == 1:
        return gradients
    there = [g for g in gradients if g is not None]
    replica = tf.distribute.get_replica_context()
    whole = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if g is None else next(whole) for g in gradients]
