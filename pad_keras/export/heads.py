"""Signatures of exported heads: labels and slots as strings."""

import re

import tensorflow as tf

from pad_keras.models import UtteranceClassifier

# Around a slot, for as long as the list is being made; no text holds them.
_OPEN, _CLOSE = "\x01", "\x02"
_MARKERS = r"B-\S+ | E-\S+"
_NAME = f"[^ {_OPEN}{_CLOSE}]+"


def task_signature(model, encode):
    """The signature `serving_default` of a head.

    Args:
        model: `UtteranceClassifier` or `SlotFiller`.
        encode: function, as `encode_function` makes it of the head's encoder.

    Returns:
        `tf.function` of `(waveform, num_samples)`; see `export_saved_model` for its outputs.
    """
    answer = _labels if isinstance(model, UtteranceClassifier) else _slots

    @tf.function(input_signature=encode.input_signature, autograph=False)
    def serve(waveform, num_samples):
        units = encode(waveform, num_samples)
        inputs = {name: units[name] for name in ("hidden_states", "mask")}
        return answer(model, model(inputs, training=False))

    return serve


def label_signature(model):
    """The signature `labels`: the names of each group's labels.

    Args:
        model: `UtteranceClassifier`.

    Returns:
        `tf.function` without arguments.
    """

    @tf.function(input_signature=[], autograph=False)
    def labels():
        return {group: tf.constant(names) for group, names in model.label_names.items()}

    return labels


def _labels(model, logits):
    """The best label and the probabilities of each group."""
    found = {}
    for group, names in model.label_names.items():
        scores = tf.cast(logits[group], tf.float32)
        found[group] = tf.gather(tf.constant(names), tf.argmax(scores, axis=-1))
        found[f"{group}_probabilities"] = tf.nn.softmax(scores)
    return found


def _slots(model, outputs):
    """What was said, its slots, and how sure that is."""
    vocabulary = model.vocabulary
    mask = tf.cast(outputs["mask"], tf.bool)
    probabilities = tf.nn.softmax(tf.cast(outputs["logits"], tf.float32))
    best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    before = tf.pad(best[:, :-1], [[0, 0], [1, 0]], constant_values=-1)
    kept = mask & tf.not_equal(best, before) & (best > vocabulary.eos)
    names = tf.constant([vocabulary.decode([index]) for index in range(len(vocabulary))])
    text = tf.strings.reduce_join(tf.where(kept, tf.gather(names, best), ""), axis=1)
    weights = tf.cast(mask, tf.float32)
    sure = tf.reduce_sum(tf.reduce_max(probabilities, axis=-1) * weights, axis=1)
    return {
        "text": text,
        "words": tf.strings.regex_replace(text, _MARKERS, ""),
        "slots": slot_list(text, vocabulary.slots),
        "confidence": sure / tf.reduce_sum(weights, axis=1),
    }


def slot_list(text, slots):
    """Slots of texts with markers, by TensorFlow's operations on strings.

    Args:
        text: `[batch]` string, `B-slot value E-slot` where a slot is.
        slots: sequence of slot names.

    Returns:
        `[batch]` string, such as `"artist: ADELE; playlist: LIST"`, of the slots that
        `pad_keras.metrics.slot_spans` finds. Markers inside a value are deleted, as
        `pad_keras.metrics.slot_value_edits` does; a value of nothing else is left out.
    """
    text = tf.strings.regex_replace(text, " +", " ")
    # RE2 has no back references, so that all slots are spelled out.
    spans = "|".join(rf"B-{name} .+? E-{name}" for name in map(re.escape, slots))
    text = tf.strings.regex_replace(text, f"({spans})", rf"{_OPEN}\1{_CLOSE}")
    text = tf.strings.regex_replace(
        text, rf"{_OPEN}B-(\S+) ([^{_CLOSE}]*) E-{_NAME}{_CLOSE}", rf"{_OPEN}\1: \2{_CLOSE}"
    )
    text = tf.strings.regex_replace(text, f"B-{_NAME} ?| ?E-{_NAME}", "")
    text = tf.strings.regex_replace(text, f"{_OPEN}{_NAME}: *{_CLOSE}", "")
    # An empty slot behind the last one takes the words behind it away.
    text = tf.strings.join([text, _OPEN + _CLOSE])
    listed = tf.strings.regex_replace(text, f"[^{_OPEN}]*{_OPEN}([^{_CLOSE}]*){_CLOSE}", r"\1; ")
    return tf.strings.regex_replace(listed, "(; )?; $", "")
