"""Corpora without the files that cannot be decoded."""

import tensorflow as tf

from pad_keras.data.audio import diagnose
from pad_keras.data.problems import Problems


def decodable(utterances, on_error="skip"):
    """Decode every file once and leave out those that fail.

    A run that pairs results with utterances by their order wants broken files out of the way
    before it starts; `pipeline(on_error="skip")` leaves them out only as it meets them.

    Args:
        utterances: list of `Utterance`.
        on_error: `"skip"` warns with the count and the list; `"raise"` names the first.

    Returns:
        List of `Utterance`.

    Raises:
        BadInputError: with `on_error="raise"`.

    Example:

    ```python
    utterances = decodable(librispeech("LibriSpeech", on_error="skip"))
    ```
    """
    problems = Problems(on_error, "audio")
    paths = tf.data.Dataset.from_tensor_slices([utterance.audio for utterance in utterances])

    def reason(path):
        return tf.numpy_function(
            lambda p: (diagnose(p.decode()) or "").encode(), [path], tf.string, stateful=False
        )

    kept = []
    reasons = paths.map(reason, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()
    for utterance, why in zip(utterances, reasons, strict=True):
        if why:
            problems.add(utterance.audio, why.decode())
        else:
            kept.append(utterance)
    problems.report()
    return kept
