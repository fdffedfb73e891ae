"""The CTC loss as SUPERB's slot filling takes it."""

from keras import ops


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


def ctc_loss(logits, frame_mask, targets, target_lengths):
    """CTC loss of a batch: blank 0, each utterance divided by its target's length.

    An utterance whose frames are too few for its target counts as 0, as in the reference; so
    does an empty target.

    Args:
        logits: `[batch, frames, tokens]`.
        frame_mask: `[batch, frames]` bool, real frames first.
        targets: `[batch, labels]` int, of which `target_lengths` are real.
        target_lengths: `[batch]` int.

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
    losses = ops.ctc_loss(targets, ops.cast(logits, "float32"), safe_lengths, frames, mask_index=0)
    scaled = losses / ops.cast(ops.maximum(lengths, 1), "float32")
    return ops.mean(ops.where(feasible, scaled, ops.zeros_like(scaled)))
