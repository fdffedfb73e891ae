"""Slot filling as SUPERB scores it: types that were found, and values that were read right."""

import re
import warnings

import keras
from rapidfuzz.distance import Levenshtein

from pad_keras.metrics.ratio import RatioMetric

# A closing marker only has to begin with the slot's name: E-city_name closes B-city.
_SPAN = re.compile(r"B-(\S+) (.+?) E-\1")


def slot_spans(text):
    """Slots of a text with markers.

    Args:
        text: str, `B-slot value E-slot` where a slot is.

    Returns:
        List of `(type, value)`; a slot that is empty or not closed is none.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.

    Example:

    ```python
    slot_spans("PLAY B-artist ADELE E-artist")  # [("artist", "ADELE")]
    ```
    """
    return _SPAN.findall(re.sub(" +", " ", text))


def slot_type_f1(hypothesis, reference):
    """F1 of the sets of slot types of an utterance.

    Args:
        hypothesis: str with markers.
        reference: str with markers.

    Returns:
        float between 0 and 1; 1 if neither has a slot.
    """
    found, right = ({kind for kind, _ in slot_spans(text)} for text in (hypothesis, reference))
    if not found and not right:
        return 1.0
    return 2 * len(found & right) / (len(found) + len(right))


def slot_value_edits(hypothesis, reference):
    """Edits that an utterance's slot values need.

    Each reference value is compared with the hypothesis' value of its type that has the smallest
    error rate; a missing type counts as an empty value.

    Args:
        hypothesis: str with markers. Markers inside a value are deleted.
        reference: str with markers.

    Returns:
        Tuple of the number of edits and the number of characters of the reference's values.
    """
    found = {}
    for kind, value in slot_spans(hypothesis):
        found.setdefault(kind, []).append(_without_markers(value))
    edits = length = 0
    for kind, value in slot_spans(reference):
        # All are divided by one length, so that the fewest edits are the smallest rate.
        edits += min(Levenshtein.distance(other, value) for other in found.get(kind, [""]))
        length += len(value)
    return edits, length


def _without_markers(value):
    """As the reference does, opening markers first: it matters where two markers touch."""
    return re.sub(r" E-\S+", "", re.sub(r"B-\S+ ", "", value))


class _TextMetric(RatioMetric):
    """A ratio of two sums over utterances; of texts, so not for use inside `compile`."""

    def update_state(self, y_true, y_pred):
        """Add utterances.

        Args:
            y_true: sequence of str (or UTF-8 bytes, or a TensorFlow tensor of these), texts with
                markers.
            y_pred: the same, of the same length.

        Raises:
            TypeError: if one is no sequence of texts, such as a single str.
            ValueError: if the lengths differ.
        """
        for name, texts in (("y_true", y_true), ("y_pred", y_pred)):
            if isinstance(texts, str | bytes):
                raise TypeError(f"`{name}` must be a sequence of texts, got the text {texts!r}.")
        if len(y_true) != len(y_pred):
            raise ValueError(f"{len(y_true)} references and {len(y_pred)} hypotheses.")
        pairs = zip(map(_text, y_pred), map(_text, y_true), strict=True)
        ratios = [self.ratio(hypothesis, reference) for hypothesis, reference in pairs]
        self.total.assign_add(float(sum(over for over, _ in ratios)))
        self.count.assign_add(float(sum(under for _, under in ratios)))


@keras.saving.register_keras_serializable(package="pad_keras")
class SlotTypeF1(_TextMetric):
    """Mean over utterances of the F1 of their sets of slot types.

    Args:
        name: str.
        **kwargs: of `keras.metrics.Metric`.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.

    Example:

    ```python
    metric = SlotTypeF1()
    metric.update_state(["B-artist ADELE E-artist"], ["B-artist ADEL E-artist"])
    float(metric.result())  # 1.0
    ```
    """

    def __init__(self, name="slot_type_f1", **kwargs):
        super().__init__(name=name, **kwargs)

    def ratio(self, hypothesis, reference):
        """An utterance's F1, and one for the mean."""
        return slot_type_f1(hypothesis, reference), 1


@keras.saving.register_keras_serializable(package="pad_keras")
class SlotValueCER(_TextMetric):
    """Character error rate of slot values: all edits over all characters of references.

    Args:
        name: str.
        **kwargs: of `keras.metrics.Metric`.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.

    Example:

    ```python
    metric = SlotValueCER()
    metric.update_state(["B-artist ADELE E-artist"], ["B-artist ADEL E-artist"])
    float(metric.result())  # 0.2
    ```
    """

    def __init__(self, name="slot_value_cer", **kwargs):
        super().__init__(name=name, **kwargs)

    def ratio(self, hypothesis, reference):
        """An utterance's edits and characters."""
        return slot_value_edits(hypothesis, reference)

    def result(self):
        """The rate so far; NaN, with a warning, if no reference had a slot."""
        if not float(keras.ops.convert_to_numpy(self.count)):
            warnings.warn("No reference has a slot; their error rate is NaN.", stacklevel=2)
            return keras.ops.convert_to_tensor(float("nan"))
        return super().result()


def _text(value):
    if hasattr(value, "numpy"):  # An element of a TensorFlow tensor.
        value = value.numpy()
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise TypeError(f"A text must be a str, got {value!r} ({type(value).__name__}).")
    return value
