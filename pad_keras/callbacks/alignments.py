"""What a distiller aligned: for each utterance its units, candidate spans and best spans."""

import dataclasses

import numpy as np
from keras import ops, tree

from pad_keras.losses import SpanAlignment, functional
from pad_keras.losses.local_alignment import LocalAlignmentLoss


@dataclasses.dataclass
class Alignment:
    """One utterance as the distiller sees it, without padding.

    Args:
        speech: `[dim]`, the pooled speech units.
        text: `[dim]`, the pooled text units.
        significance: `[frames]`, the prior of the speech.
        text_significance: `[units]`, the prior of the text.
        similarity: `[frames, units]`, cosine of frames and text units.
        anchors: `[anchors]` int, frames; empty without spans.
        spans: `[spans, 2]` int, candidate spans (single frames without span aggregation).
        best: `[units, 2]` int, the span that matches each text unit best.
    """

    speech: np.ndarray
    text: np.ndarray
    significance: np.ndarray
    text_significance: np.ndarray
    similarity: np.ndarray
    anchors: np.ndarray
    spans: np.ndarray
    best: np.ndarray


def alignments(distiller, batch):
    """Alignments of a batch.

    Spans are those of the distiller's `SpanAlignment`, if it has one; else single frames. Cosines
    are those of its local loss, so of centred units if that has `centre_units`.

    Args:
        distiller: `pad_keras.models.AlignmentDistiller`.
        batch: dict, as `pad_keras.data.pipeline` makes them.

    Returns:
        List of `Alignment`, one an utterance.
    """
    batch = tree.map_structure(ops.convert_to_numpy, batch)
    # predict_on_batch is the backend's compiled function; a direct call would run eagerly.
    student = distiller.predict_on_batch(batch)
    teacher = tree.map_structure(ops.convert_to_numpy, distiller.teacher_units(batch))
    local = [loss for loss in distiller.distillation_losses if isinstance(loss, LocalAlignmentLoss)]
    # That which has spans, if one has.
    local.sort(key=lambda loss: not isinstance(loss, SpanAlignment))
    compared, spans = (student, teacher), None
    if local:
        compared = [local[0].local_units(units) for units in compared]
    if local and isinstance(local[0], SpanAlignment):
        spans = tree.map_structure(ops.convert_to_numpy, local[0].spans(*reversed(compared)))
    student["compared"], teacher["compared"] = (
        ops.convert_to_numpy(units["embeddings"]) for units in compared
    )
    units = range(len(student["mask"]))
    return [_alignment(*_cut(student, teacher, spans, index)) for index in units]


def _cut(student, teacher, spans, index):
    """One utterance's units and spans, without padding."""
    sides = []
    for side in (student, teacher):
        valid = np.asarray(side["mask"][index], bool)
        sides.append(
            [side[key][index][valid] for key in ("embeddings", "significance", "compared")]
        )
    if spans is None:
        *_, compared = sides[0]
        frames = np.arange(len(compared))
        found = compared, np.stack([frames, frames + 1], axis=1), np.zeros(0, int)
    else:
        valid, anchors = np.asarray(spans["mask"][index], bool), spans["anchors"][index]
        edges = np.stack([spans["starts"][index], spans["ends"][index]], axis=1)
        found = spans["embeddings"][index][valid], edges[valid], anchors[anchors >= 0]
    return *sides, found


def _alignment(speech, text, found):
    (frames, significance, compared), (tokens, text_significance, compared_text) = speech, text
    pooled, edges, anchors = found
    similarity = ops.convert_to_numpy(
        functional.similarity_matrix(np.concatenate([compared, pooled])[None], compared_text[None])
    )[0]
    best = np.zeros((len(tokens), 2), edges.dtype)
    if len(edges):
        best = edges[similarity[len(frames) :].argmax(axis=0)]
    return Alignment(
        speech=significance @ frames,
        text=text_significance @ tokens,
        significance=significance,
        text_significance=text_significance,
        similarity=similarity[: len(frames)],
        anchors=anchors,
        spans=edges,
        best=best,
    )
