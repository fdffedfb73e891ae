"""The CTC loss as SUPERB's slot filling takes it."""

from keras import ops

from pad_keras.losses.functional.alignment import valid_units


def ctc_feasible(targets, target_lengths, frame_counts):
    """Whether there are frames enough for a target: each repeat needs a blank between.

    Args:
        targets: `[batch, labels]` int.
        target_lengths: `[batch]` int.
        frame_counts: `[batch]` int.

    Returns:
        `[batch]` bool.

    Reference:
        Graves et al., ICML 2006.
    """
    targets, target_lengths, frame_counts = (
        ops.cast(x, "int32") for x in (targets, target_lengths, frame_counts)
    )
    inside = ops.arange(1, ops.shape(targets)[1])[None] < target_lengths[:, None]
    repeats = ops.logical_and(ops.equal(targets[:, 1:], targets[:, :-1]), inside)
    needed = target_lengths + ops.sum(ops.cast(repeats, "int32"), axis=1)
    return frame_counts >= needed


def ctc_loss(logits, frame_mask, targets, target_lengths, tensorflow_kernel=False):
    """CTC loss of a batch: blank 0, each utterance divided by its target's length.

    An utterance whose frames are too few for its target counts as 0, as in the reference. An empty
    target counts as 0 too (our choice; the reference takes the loss of blanks alone).

    Args:
        logits: `[batch, frames, tokens]`.
        frame_mask: `[batch, frames]` bool, real frames first.
        targets: `[batch, labels]` int, of which `target_lengths` are real.
        target_lengths: `[batch]` int.
        tensorflow_kernel: bool, on that backend alone: compute by TensorFlow's own kernel, which
            runs on the CPU, several times as fast there as the loop over frames that Keras takes,
            and cannot be compiled by XLA.

    Returns:
        Scalar float32, the mean over utterances.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.
    """
    targets, lengths = ops.cast(targets, "int32"), ops.cast(target_lengths, "int32")
    frames = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
    feasible = ops.logical_and(ctc_feasible(targets, lengths, frames), lengths > 0)
    # An infeasible target's loss is huge or infinite, and its gradient too: it gets an easy one.
    safe_lengths = ops.where(feasible, lengths, ops.minimum(lengths, 1))
    all_losses = _tensorflow_kernel if tensorflow_kernel else _keras_loop
    losses = all_losses(valid_units(logits, frame_mask), frames, targets, safe_lengths)
    scaled = losses / ops.cast(ops.maximum(lengths, 1), "float32")
    return ops.mean(ops.where(feasible, scaled, ops.zeros_like(scaled)))


def _keras_loop(logits, frames, targets, lengths):
    """Loss of each utterance, on any backend."""
    return ops.ctc_loss(targets, logits, lengths, frames, mask_index=0)


def _tensorflow_kernel(logits, frames, targets, lengths):
    """The same by the kernel, whose blank is the last token and whose targets are sparse."""
    import tensorflow as tf

    # It refuses a target without a label, so that one gets one; its loss is not taken.
    some = ops.maximum(ops.pad(targets, ((0, 0), (0, 1))), 1) - 1
    labels = tf.RaggedTensor.from_tensor(some, ops.maximum(lengths, 1)).to_sparse()
    return tf.compat.v1.nn.ctc_loss(
        labels,
        tf.roll(logits, -1, axis=-1),
        frames,
        # Without this an utterance of no frames would raise.
        ignore_longer_outputs_than_inputs=True,
        time_major=False,
    )
