"""Whether speech and text are aligned: retrieval, and overlap with the times of words."""

import numpy as np

# Of wav2vec 2.0's front end at 16 kHz: one frame each 20 ms, looking at 25 ms.
FRAME_HOP = 0.020
FRAME_LENGTH = 0.025


def retrieval_recall(text_embeddings, speech_embeddings, k=(1, 10)):
    """Text-to-speech retrieval: is a text's own utterance among the k nearest by cosine?

    A tie counts against the text's own utterance, and so does NaN: embeddings which are all alike,
    or of a run that diverged, score nothing.

    Args:
        text_embeddings: `[utterances, dim]`.
        speech_embeddings: `[utterances, dim]`, row i of the same utterance.
        k: sequence of int.

    Returns:
        Dict of `recall_at_{k}`, shares between 0 and 1. Chance is k / utterances.

    Raises:
        ValueError: if the numbers of rows differ or are 0.

    Example:

    ```python
    retrieval_recall(text, speech, k=(1, 10))  # {"recall_at_1": 0.4, "recall_at_10": 0.9}
    ```
    """
    text, speech = (_unit(np.asarray(x, "float64")) for x in (text_embeddings, speech_embeddings))
    if len(text) != len(speech) or not len(text):
        raise ValueError(f"Need one text an utterance, got {len(text)} and {len(speech)}.")
    similarity = text @ speech.T
    own = np.diagonal(similarity)[:, None]
    # Rounding must not decide a tie; written as a negation, since NaN compares as false.
    rank = np.sum(~(similarity < own - 1e-9), axis=1)
    return {f"recall_at_{count}": float(np.mean(rank <= count)) for count in k}


def word_overlap(best_spans, candidate_spans, unit_times):
    """Share of text units whose best span overlaps their word in time, and what chance gives.

    Chance is the expected share if each unit's span were drawn evenly from the utterance's
    candidate spans; it is computed, not sampled.

    Args:
        best_spans: list, one an utterance, of `[units, 2]` int arrays: start and (exclusive) end
            frame of each unit's best span.
        candidate_spans: list of `[spans, 2]` int arrays.
        unit_times: list of `[units, 2]` float arrays: start and end of each unit's word in
            seconds.

    Returns:
        Dict of `word_overlap` and `word_overlap_chance`, shares between 0 and 1 over all units.

    Raises:
        ValueError: if there is no unit at all.

    Example:

    ```python
    word_overlap([[[3, 9]]], [[[3, 9], [40, 46]]], [[[0.1, 0.2]]])
    # {"word_overlap": 1.0, "word_overlap_chance": 0.5}
    ```
    """
    hits, chances = [], []
    for best, candidates, times in zip(best_spans, candidate_spans, unit_times, strict=True):
        times = np.asarray(times, "float64").reshape(-1, 2)
        hits.extend(_overlaps(frame_seconds(best), times))
        candidate_seconds = frame_seconds(candidates)
        chances.extend(np.mean(_overlaps(candidate_seconds, unit)) for unit in times)
    if not hits:
        raise ValueError("No unit with a known time; word times are needed (words.tsv).")
    return {
        "word_overlap": float(np.mean(hits)),
        "word_overlap_chance": float(np.mean(chances)),
    }


def frame_seconds(spans):
    """Seconds that spans of frames look at.

    Args:
        spans: `[spans, 2]` int, first frame and one past the last.

    Returns:
        `[spans, 2]` float64: start and end in seconds.
    """
    spans = np.asarray(spans, "float64").reshape(-1, 2)
    ends = (spans[:, 1] - 1) * FRAME_HOP + FRAME_LENGTH
    return np.stack([spans[:, 0] * FRAME_HOP, ends], axis=1)


def unit_words(transcript, tokenizer, text_units="token"):
    """Which word of a transcript each text unit belongs to.

    Args:
        transcript: str, words separated by spaces.
        tokenizer: `keras_hub.tokenizers.BertTokenizer`; it never joins words.
        text_units: `"token"` (each word piece a unit) or `"word"` (pieces that continue a word
            belong to the unit before).

    Returns:
        List of int, one a unit, indices into `transcript.split()`.

    Example:

    ```python
    unit_words("DON'T WALK", tokenizer)  # don ' t walk: [0, 0, 0, 1]
    ```
    """
    words = []
    for index, pieces in enumerate(tokenizer(transcript.split())):
        names = [tokenizer.id_to_token(int(piece)) for piece in pieces]
        units = [n for n in names if text_units == "token" or not n.startswith("##")]
        words.extend([index] * len(units))
    return words


def _overlaps(spans, times):
    return (spans[..., 0] < times[..., 1]) & (spans[..., 1] > times[..., 0])


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
