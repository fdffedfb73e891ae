import keras
import numpy as np
import pytest

from pad_keras.metrics import SlotTypeF1, SlotValueCER, slot_spans
from tests.backend import numpy_of

# hypothesis, reference, F1 of types, error rate of values.
CASES = {
    "a letter is missing": ("B-artist ADEL E-artist", "B-artist ADELE E-artist", 1, 0.2),
    "a longer closing name": ("B-city ROME E-city_name", "B-city ROME E-city", 1, 0),
    "one value of two": ("B-a X E-a AND B-a YY E-a", "B-a X E-a AND B-a YZ E-a", 1, 1 / 3),
    "one value reused": ("B-a YY E-a", "B-a X E-a AND B-a YZ E-a", 1, 1.0),
    "a type is missing": ("X", "B-a X E-a AND B-b YZ E-b", 0, 1.0),
    "half of the types": ("B-a X E-a", "B-a X E-a B-b Y E-b", 2 / 3, 0.5),
    "a type too many": ("B-a X E-a B-b Y E-b", "B-a X E-a", 2 / 3, 0),
    "no slot in either": ("X", "Y", 1, np.nan),
    "none in the reference": ("B-a X E-a", "X", 0, np.nan),
    "not closed": ("B-a X", "B-a X E-a", 0, 1.0),
    "empty": ("B-a  E-a", "B-a X E-a", 0, 1.0),
    "markers inside a hypothesis": ("B-a X B-b Y E-a", "B-a X Y E-a", 1, 0),
    # " E-aB-b" is one closing marker only until "B-b Y" is taken from its end.
    "markers that touch": ("B-a B  E-bB-b AB E-a", "B-a BB AB E-a", 1, 4 / 5),
    "blanks in a row": ("B-a  X   Y E-a", "B-a X Y E-a", 1, 0),
}


def scored(metric, pairs):
    metric.update_state([reference for _, reference in pairs], [h for h, _ in pairs])
    return float(numpy_of(metric.result()))


@pytest.mark.filterwarnings("ignore:No reference has a slot")
@pytest.mark.parametrize("case", CASES)
def test_worked_examples(case):
    hypothesis, reference, f1, cer = CASES[case]
    assert scored(SlotTypeF1(), [(hypothesis, reference)]) == pytest.approx(f1)
    found = scored(SlotValueCER(), [(hypothesis, reference)])
    assert found == pytest.approx(cer, nan_ok=True)


def test_f1_is_a_mean_and_the_error_rate_a_ratio_of_sums():
    pairs = [("B-a XXXX E-a", "B-a XXXX E-a"), ("X", "B-b Y E-b"), ("X", "Y")]
    assert scored(SlotTypeF1(), pairs) == pytest.approx(2 / 3)
    assert scored(SlotValueCER(), pairs) == pytest.approx(1 / 5)


def test_batches_add_up_and_reset():
    metric = SlotTypeF1()
    scored(metric, [("B-a X E-a", "B-a X E-a")])
    assert scored(metric, [("X", "B-a X E-a")]) == pytest.approx(0.5)
    metric.reset_state()
    assert scored(metric, [(b"X", b"X")]) == 1.0


def test_markers_inside_a_reference_stay():
    assert slot_spans("B-a X B-b Y E-a") == [("a", "X B-b Y")]
    assert scored(SlotValueCER(), [("B-a X Y E-a", "B-a X B-b Y E-a")]) == pytest.approx(4 / 7)


def test_no_reference_slot_is_nan_with_a_warning():
    metric = SlotValueCER()
    with pytest.warns(UserWarning, match="No reference has a slot"):
        assert np.isnan(scored(metric, [("X", "Y")]))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 references and 1 hypotheses"):
        SlotTypeF1().update_state(["a", "b"], ["a"])


@pytest.mark.parametrize("kind", [SlotTypeF1, SlotValueCER])
def test_they_serialise(kind):
    restored = keras.metrics.deserialize(keras.metrics.serialize(kind(name="mine")))
    assert isinstance(restored, kind)
    assert restored.name == "mine"


@pytest.mark.parametrize("kind", [SlotTypeF1, SlotValueCER])
def test_what_is_no_sequence_of_texts_is_refused(kind):
    with pytest.raises(TypeError, match="`y_true` must be a sequence of texts, got the text 'B-a"):
        kind().update_state("B-a XX E-a", "B-b YY E-b")
    with pytest.raises(TypeError, match=r"A text must be a str, got None \(NoneType\)"):
        kind().update_state(["B-a XX E-a"], [None])


def test_tensors_of_texts_are_read():
    tf = pytest.importorskip("tensorflow")
    metric = SlotValueCER()
    metric.update_state(tf.constant(["B-a É' E-a"]), np.array(["B-a É' E-a"]))
    assert float(numpy_of(metric.result())) == 0.0
