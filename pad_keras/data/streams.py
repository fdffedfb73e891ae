"""The stream of an epoch's readings, or of many epochs', batched in the order of a `BatchPlan`."""

import numpy as np
import tensorflow as tf

_END = -1


def padded_readings(source, plan, repeat, start_batch, problems):
    """Batches of readings, padded to the longest of each.

    What cannot be read goes to `problems`; the readings behind it move up.

    Args:
        source: `AudioSource` or `StateSource`.
        plan: `BatchPlan`.
        repeat: bool, an endless stream of epochs.
        start_batch: int, the batch of the stream to start at.
        problems: `Problems`.

    Returns:
        `tf.data.Dataset` of `(positions [batch] int64, lengths [batch] int32, readings)`.
    """
    drop_remainder = plan.shuffle or repeat
    start = _start(plan, repeat, start_batch)
    positions = _positions(plan, repeat, start)
    if source.held is not None:
        return positions.batch(plan.batch_size, drop_remainder).map(_gather(source))
    stream = _numbered(positions, repeat, start)
    checked = _name_missing(_load(stream, source), plan, source, problems, start)
    measured = checked.map(lambda position, item: (position, source.length(item), item))
    shapes = ([], [], source.shape)
    return measured.padded_batch(plan.batch_size, shapes, drop_remainder=drop_remainder)


def _start(plan, repeat, start_batch):
    """Where a batch begins: the running number of its first utterance."""
    if repeat:
        # Without shuffling, batches run on from one epoch to the next.
        return start_batch * plan.batch_size
    epochs, batches = divmod(start_batch, plan.batches_per_epoch)
    return epochs * plan.utterances_per_epoch + batches * plan.batch_size


def _positions(plan, repeat, start):
    """Dataset of the positions of utterances."""
    first_epoch, first = divmod(start, plan.utterances_per_epoch)
    epochs = tf.data.Dataset.range(
        first_epoch, np.iinfo("int64").max if repeat else first_epoch + 1
    )

    def positions(epoch):
        order = tf.numpy_function(lambda e: plan.order(int(e)), [epoch], tf.int64, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(order, (None,)))

    return epochs.flat_map(positions).skip(first)


def _gather(source):
    """Function from positions to their readings, which are held and of one length."""

    def gather(positions):
        items = tf.gather(source.held, positions)
        length = source.length(source.held[0])
        return positions, tf.fill(tf.shape(positions), length), items

    return gather


def _numbered(stream, repeat, start):
    """Positions with their running numbers, from which a gap is noticed."""
    if not repeat:
        # Behind the last utterance, so that its loss would be noticed too.
        stream = stream.concatenate(tf.data.Dataset.from_tensors(tf.constant(_END, tf.int64)))
    return stream.enumerate(start)


def _load(stream, source):
    """Read; elements that fail are missing from the result."""

    def load(number, position):
        # tf.cond, not a filter: the end marker must arrive where the gaps are noticed.
        item = tf.cond(
            tf.equal(position, _END),
            lambda: tf.zeros([size or 0 for size in source.shape], source.dtype),
            lambda: source.read(position),
        )
        return number, position, item

    return stream.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).ignore_errors()


def _name_missing(loaded, plan, source, problems, start):
    """Notice gaps in the running numbers; Python runs only where there is one."""

    def report(expected, number):
        for missing in range(int(expected), int(number)):
            epoch, rank = divmod(missing, plan.utterances_per_epoch)
            problems.add(*source.diagnose(plan.order(epoch)[rank]))
        return np.int64(0)

    def report_end():
        problems.report()
        return np.int64(0)

    def check(expected, element):
        number, position, item = element
        zero = tf.constant(0, tf.int64)
        noticed = tf.cond(
            number > expected,
            lambda: tf.numpy_function(report, [expected, number], tf.int64),
            lambda: zero,
        )
        with tf.control_dependencies([noticed]):
            ended = tf.cond(
                tf.equal(position, _END),
                lambda: tf.numpy_function(report_end, [], tf.int64),
                lambda: zero,
            )
        with tf.control_dependencies([ended]):
            return number + 1, (tf.identity(position), item)

    checked = loaded.scan(tf.constant(start, tf.int64), check)
    return checked.filter(lambda position, item: tf.not_equal(position, _END))
