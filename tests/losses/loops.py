"""The alignment losses of one utterance as slow loops, under the losses' own arguments."""

import numpy as np

from tests.losses import reference


def weights_of(units, weighting):
    if weighting == "uniform":
        return np.full(len(units["embeddings"]), 1 / len(units["embeddings"]))
    return units[weighting]


def global_loops(speech, text, distance="l1", weighting="significance", speech_weighting=None):
    # Frames have no document frequency.
    speech_weighting = speech_weighting or ("uniform" if weighting == "idf" else weighting)
    pooled = [
        reference.pooled(units["embeddings"], weights_of(units, chosen))
        for units, chosen in ((speech, speech_weighting), (text, weighting))
    ]
    return reference.distance(*pooled, distance)


def local_units(units, centre_units):
    embeddings = units["embeddings"]
    return {**units, "embeddings": reference.centred(embeddings) if centre_units else embeddings}


def token_loops(speech, text, weighting="significance", softness=0.0, centre_units=False):
    speech, text = (local_units(units, centre_units) for units in (speech, text))
    weights = weights_of(text, weighting)
    return reference.alignment(speech["embeddings"], text["embeddings"], weights, softness)


def span_loops(
    speech,
    text,
    anchors_per_unit=2.0,
    radius=2,
    scales=(0.5, 1.0, 2.0),
    weighting="significance",
    anchor_selection="significant",
    pooling="mean",
    softness=0.0,
    centre_units=False,
    units=None,
):
    """Of text with spans that are laid out for `units` text units, those of the text by default."""
    speech, text = (local_units(side, centre_units) for side in (speech, text))
    n, m = len(speech["embeddings"]), units or len(text["embeddings"])
    k = reference.anchor_count(n, m, anchors_per_unit)
    if anchor_selection == "even":
        anchors = reference.even_anchors(n, k)
    else:
        anchors = reference.significant_anchors(speech["significance"], k, radius)
    weights = speech["significance"] if pooling == "significance" else None
    pools = [
        reference.pool(speech["embeddings"], start, end, weights)
        for start, end in reference.spans(anchors, n, m, scales)
    ]
    return reference.alignment(pools, text["embeddings"], weights_of(text, weighting), softness)


def sequence_loops(speech, text):
    return reference.distance(speech["embeddings"][0], text["cls"], "l2")
