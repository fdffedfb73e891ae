import dataclasses

import numpy as np
import pytest
from keras import ops

from pad_keras.callbacks import AlignmentEvaluation
from pad_keras.callbacks.alignments import alignments
from pad_keras.data import WordTime
from pad_keras.losses import SpanAlignment, TokenAlignment
from pad_keras.metrics import retrieval_recall
from tests.backend import numpy_of
from tests.callbacks.runs import new_distiller, train
from tests.models.test_alignment_distiller import batch
from tests.small import utterances


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12)


def test_spans_are_those_of_the_loss():
    distiller = new_distiller(losses=SpanAlignment(), dropout=0.0)
    inputs = batch(distiller.teacher)
    found = alignments(distiller, inputs)
    units = distiller.predict_on_batch(inputs)
    text = distiller.teacher_units(inputs)
    for row, one in enumerate(found):
        frames = np.asarray(units["embeddings"][row])[np.asarray(units["mask"][row])]
        mask = ops.convert_to_numpy(text["mask"])[row]
        tokens = ops.convert_to_numpy(text["embeddings"])[row][mask]
        assert one.similarity.shape == (len(frames), len(tokens))
        assert one.significance.sum() == pytest.approx(1.0, abs=1e-4)
        assert one.text_significance.sum() == pytest.approx(1.0, abs=1e-4)
        assert (one.anchors < len(frames)).all()
        assert (one.spans[:, 0] < one.spans[:, 1]).all()
        assert one.spans.max() <= len(frames)
        pooled = [frames[start:end].mean(axis=0) for start, end in one.spans]
        for token, (start, end) in zip(tokens, one.best, strict=True):
            values = [cosine(span, token) for span in pooled]
            mine = cosine(frames[start:end].mean(axis=0), token)
            assert mine == pytest.approx(max(values), abs=1e-4)


def test_without_spans_each_frame_is_a_candidate():
    distiller = new_distiller(losses=TokenAlignment(), dropout=0.0)
    one = alignments(distiller, batch(distiller.teacher))[0]
    frames = len(one.significance)
    np.testing.assert_array_equal(one.spans[:, 0], np.arange(frames))
    np.testing.assert_array_equal(one.best[:, 0], one.similarity.argmax(axis=0))
    assert not len(one.anchors)


def test_masks_of_numbers_and_utterances_without_a_frame():
    distiller = new_distiller(losses=SpanAlignment(), dropout=0.0)
    inputs = batch(distiller.teacher)
    expected = alignments(distiller, inputs)
    units = {**numpy_of(distiller.teacher(inputs["text"]))}
    units["mask"] = units["mask"].astype("int32")
    speech = {**inputs["speech"], "padding_mask": inputs["speech"]["padding_mask"].copy()}
    speech["padding_mask"][0] = False
    found = alignments(distiller, {"speech": speech, "text_units": units})
    np.testing.assert_allclose(found[1].similarity, expected[1].similarity, atol=1e-5)
    assert found[0].similarity.shape == (0, len(units["mask"][0].nonzero()[0]))
    assert not found[0].spans.size
    assert not found[0].best.any()


def timed(corpus):
    """The same utterances with word times of a tenth of a second each."""
    for utterance in corpus:
        words = enumerate(utterance.text.split())
        times = tuple(WordTime(w, 0.1 * i, 0.1 * i + 0.1) for i, w in words)
        yield dataclasses.replace(utterance, words=times)


def test_measures_are_logged_at_the_last_epoch_too():
    distiller = new_distiller(losses=SpanAlignment())
    evaluation = AlignmentEvaluation(
        [batch(distiller.teacher)], list(timed(utterances(4))), distiller.teacher.tokenizer, every=2
    )
    history = train(distiller, 3, [evaluation]).history
    assert len(history["val_recall_at_1"]) == 2
    assert 0 <= history["val_word_overlap"][-1] <= 1
    found = alignments(distiller, batch(distiller.teacher))
    expected = retrieval_recall(
        np.stack([one.text for one in found]), np.stack([one.speech for one in found])
    )
    assert history["val_recall_at_1"][-1] == expected["recall_at_1"]


def test_a_missing_utterance_is_noticed():
    distiller = new_distiller(losses=SpanAlignment())
    evaluation = AlignmentEvaluation([batch(distiller.teacher)], utterances(3))
    with pytest.raises(ValueError, match="gave 4 utterances and `utterances` has 3"):
        evaluation.evaluate(distiller)


def test_word_times_must_fit_the_transcript():
    distiller = new_distiller(losses=SpanAlignment())
    corpus = list(timed(utterances(4)))
    corpus[2] = dataclasses.replace(corpus[2], words=corpus[2].words[:-1])
    evaluation = AlignmentEvaluation(
        [batch(distiller.teacher)], corpus, distiller.teacher.tokenizer
    )
    with pytest.raises(ValueError, match="u2: .* word times for"):
        evaluation.evaluate(distiller)


@pytest.mark.parametrize("kind", [SpanAlignment, TokenAlignment])
def test_best_spans_of_centred_units_are_those_of_the_loss(kind):
    distiller = new_distiller(losses=kind(centre_units=True), dropout=0.0)
    inputs = batch(distiller.teacher)
    units = distiller.predict_on_batch(inputs)
    text = numpy_of(distiller.teacher_units(inputs))
    for row, one in enumerate(alignments(distiller, inputs)):
        sides = [side["embeddings"][row][side["mask"][row]] for side in (units, text)]
        frames, tokens = (side - side.mean(axis=0) for side in sides)
        pooled = [frames[start:end].mean(axis=0) for start, end in one.spans]
        for token, (start, end) in zip(tokens, one.best, strict=True):
            values = [cosine(span, token) for span in pooled]
            mine = cosine(frames[start:end].mean(axis=0), token)
            assert mine == pytest.approx(max(values), abs=1e-3)
        # Retrieval compares the units as they are.
        np.testing.assert_allclose(one.speech, one.significance @ sides[0], rtol=1e-4, atol=1e-5)
