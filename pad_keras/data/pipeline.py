"""tf.data pipelines of batches for `fit`."""

import contextlib
import logging

import numpy as np
import tensorflow as tf

from pad_keras.data.batch_plan import BatchPlan
from pad_keras.data.problems import Problems
from pad_keras.data.sources import AudioSource, StateSource
from pad_keras.data.streams import padded_readings


def pipeline(
    utterances,
    batch_size,
    *,
    text=None,
    targets=None,
    states=None,
    shuffle=False,
    repeat=False,
    seed=0,
    start_batch=0,
    buckets=12,
    max_seconds=None,
    augment=None,
    on_error="raise",
):
    """Batches of waveforms or of their hidden states, with text or the teacher's units beside.

    Utterances of like length share a batch, and batches are padded up to one of `buckets`
    lengths, so that little is padding and a compiler meets few shapes (see `BatchPlan`). Files
    are read and decoded in parallel by TensorFlow operations; pooled states, up to 1 GiB, are read
    when the pipeline is made and stay in memory. An element is a dict of numeric tensors alone,
    as `fit` takes it on each backend.

    Args:
        utterances: list of `Utterance`.
        batch_size: int.
        text: a `TextTokenizer` or a `TeacherCache`; `None` for waveforms alone.
        targets: dict of arrays with a row an utterance, such as `label_ids` and `slot_targets`
            give; `None` for inputs alone.
        states: a `HiddenStateCache`, to read a frozen encoder's states in place of the audio. The
            batches hold the same utterances in the same order.
        shuffle: bool, other batches each epoch; the remainder is left out.
        repeat: bool, an endless stream of epochs (then give `fit` its `steps_per_epoch`).
        seed: int, of the shuffling.
        start_batch: int, the batch of the stream to start at. Those before it are not read.
        buckets: int, number of padded lengths.
        max_seconds: float, leave out longer utterances (their number is logged).
        augment: function of a waveform `[samples]` that returns one, in TensorFlow operations;
            not with `states`.
        on_error: `"raise"` names a file that cannot be read; `"skip"` leaves it out and warns
            with the count and the list when the data end.

    Returns:
        `tf.data.Dataset` of dicts
        - `speech`: `waveform` `[batch, samples]` float32, `padding_mask` `[batch, samples]` bool;
          with `states`, `hidden_states` `[batch, layers + 1, frames, dim]` float32 and `mask`
          `[batch, frames]` bool;
        - `text` (with a `TextTokenizer`): `token_ids`, `segment_ids`, `padding_mask`
          `[batch, tokens]`;
        - `text_units` (with a `TeacherCache`): `embeddings` `[batch, units, dim]`,
          `significance`, `mask` `[batch, units]`, `cls` `[batch, dim]`;

        or, with `targets`, of pairs of such a dict and the batch's rows of the targets.

    Raises:
        ValueError: if a target has another number of rows, if nothing is left to read, if an
            argument is out of range, or if both `states` and `augment` are given; with `repeat`
            and `on_error="skip"`, if not one utterance can be read.
        StaleCacheError: if `text` or `states` lacks an utterance.
        tf.errors.InvalidArgumentError: while iterating, naming a file that cannot be read; of
            pooled states `tf.errors.OpError`, in the call itself.

    Example:

    ```python
    train = pipeline(utterances, 8, text=cache, shuffle=True, repeat=True)
    distiller.fit(train, steps_per_epoch=batches_per_epoch(utterances, 8))
    ```
    """
    _check_at_least(0, seed=seed, start_batch=start_batch)
    _check_at_least(1, buckets=buckets)
    if states is not None and augment is not None:
        raise ValueError(
            "`augment` works on waveforms, and `states` are read in their place; leave out one."
        )
    targets = _rows(targets, utterances, max_seconds)
    utterances = within_seconds(utterances, max_seconds)
    if text is not None:
        text.check(utterances)
    source = AudioSource(utterances, augment) if states is None else StateSource(utterances, states)
    plan = BatchPlan([u.seconds for u in utterances], batch_size, shuffle=shuffle, seed=seed)
    problems = Problems(on_error, source.name)
    if repeat and on_error == "skip":
        _check_some_readable(source, len(utterances))
    batches = padded_readings(source, plan, repeat, start_batch, problems)
    batches = batches.map(_assemble(utterances, source, plan.boundaries(buckets), text, targets))
    if not repeat and on_error == "raise":
        # So that Keras knows where an epoch ends, and does not warn that the data ran out.
        left = plan.batches_per_epoch - start_batch % plan.batches_per_epoch
        batches = batches.apply(tf.data.experimental.assert_cardinality(left))
    return batches.prefetch(tf.data.AUTOTUNE)


def batches_per_epoch(utterances, batch_size, *, shuffle=True, max_seconds=None):
    """Number of batches that `pipeline` makes of an epoch.

    Args:
        utterances: list of `Utterance`.
        batch_size: int.
        shuffle: bool, as for `pipeline`.
        max_seconds: float, as for `pipeline`.

    Returns:
        int.
    """
    utterances = within_seconds(utterances, max_seconds)
    return BatchPlan([u.seconds for u in utterances], batch_size, shuffle).batches_per_epoch


def batch_order(utterances, batch_size):
    """Utterances in the order in which an unshuffled `pipeline` gives them.

    Args:
        utterances: list of `Utterance`.
        batch_size: int.

    Returns:
        List of `Utterance`.
    """
    plan = BatchPlan([u.seconds for u in utterances], batch_size)
    return [utterances[position] for position in plan.order(0)]


def padding_share(utterances, batch_size, *, shuffle=True, buckets=12, seed=0):
    """Share of the samples of an epoch's batches that is padding.

    Args:
        utterances: list of `Utterance`.
        batch_size: int.
        shuffle: bool, as for `pipeline`.
        buckets: int, as for `pipeline`.
        seed: int, as for `pipeline`.

    Returns:
        float between 0 and 1.
    """
    plan = BatchPlan([u.seconds for u in utterances], batch_size, shuffle, seed)
    return plan.padding_share(plan.boundaries(buckets))


def within_seconds(utterances, max_seconds):
    """Leave out utterances that are too long, and log how many.

    Args:
        utterances: list of `Utterance`.
        max_seconds: float; `None` keeps all.

    Returns:
        List of `Utterance`.

    Raises:
        ValueError: if none is left.
    """
    kept = [utterance for utterance in utterances if _is_within(utterance, max_seconds)]
    if not kept:
        raise ValueError(
            f"No utterance to read: {len(utterances)} given, none within max_seconds={max_seconds}."
        )
    if len(kept) < len(utterances):
        left_out = len(utterances) - len(kept)
        logging.getLogger(__name__).warning(
            "left out %d of %d utterances longer than %s s", left_out, len(utterances), max_seconds
        )
    return kept


def _check_at_least(least, **arguments):
    for name, value in arguments.items():
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")


def _check_some_readable(source, count):
    """Refuse what would be read for ever without coming to a batch."""
    for position in range(count):
        with contextlib.suppress(tf.errors.OpError):
            source.read(tf.constant(position, tf.int64))
            return
    name, reason = source.diagnose(0)
    raise ValueError(f"None of {count} utterances can be read; {name}: {reason}.")


def _is_within(utterance, max_seconds):
    return max_seconds is None or utterance.seconds <= max_seconds


def _rows(targets, utterances, max_seconds):
    """Targets of the utterances that are short enough, as tensors."""
    if targets is None:
        return None
    kept = [_is_within(utterance, max_seconds) for utterance in utterances]
    rows = {}
    for name, values in targets.items():
        values = np.asarray(values)
        if len(values) != len(utterances):
            raise ValueError(
                f"The target {name!r} has {len(values)} rows for {len(utterances)} utterances."
            )
        rows[name] = tf.constant(values[kept])
    return rows


def _assemble(utterances, source, boundaries, text, targets):
    """Function from (positions, lengths, padded readings) to the batch that a model takes."""
    ids = tf.constant([utterance.id for utterance in utterances])
    transcripts = tf.constant([utterance.text or "" for utterance in utterances])
    seconds = tf.constant([utterance.seconds for utterance in utterances], tf.float64)
    boundaries, limits = tf.constant(boundaries), tf.constant(source.limits(boundaries))
    axis = 1 + source.shape.index(None)

    def assemble(positions, lengths, items):
        longest = tf.reduce_max(lengths)
        # By duration, so that audio and states are padded alike; by length for what is longer.
        promised = tf.searchsorted(boundaries, [tf.reduce_max(tf.gather(seconds, positions))])[0]
        bucket = tf.maximum(promised, tf.searchsorted(limits, [longest])[0])
        bucket = tf.minimum(bucket, tf.size(limits) - 1)
        width = tf.maximum(limits[bucket], longest)
        margins = tf.one_hot(axis, items.shape.rank, on_value=width - longest)
        padded = tf.pad(items, tf.stack([tf.zeros_like(margins), margins], axis=1))
        padded.set_shape(items.shape)
        batch = {"speech": source.speech(padded, tf.sequence_mask(lengths, width))}
        if text is not None:
            batch[text.key] = text(tf.gather(ids, positions), tf.gather(transcripts, positions))
        if targets is None:
            return batch
        return batch, {name: tf.gather(rows, positions) for name, rows in targets.items()}

    return assemble
