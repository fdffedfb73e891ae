"""A speech encoder run over a corpus, for its hidden states."""

from pad_keras.data.pipeline import batch_order, pipeline
from pad_keras.data.problems import bad_input_explained
from pad_keras.models.wav2vec2.convolutions import frame_counts


def encoded(backbone, utterances, batch_size):
    """Hidden states of utterances, one after the other, from the shortest to the longest.

    The encoder runs in inference mode, compiled, on batches of like length; padding is cut off.

    Args:
        backbone: `Wav2Vec2Backbone`. With `batch_independent=False` its states would depend on
            the batch and its padding: then utterances are encoded one at a time and unpadded,
            which has a compiler meet every length.
        utterances: list of `Utterance`.
        batch_size: int, utterances that the encoder takes at a time.

    Yields:
        Tuple of an `Utterance` and its states `[layers + 1, frames, dim]` float32.

    Raises:
        BadInputError: naming audio that cannot be read.
        ValueError: naming an utterance that is shorter than a frame.

    Example:

    ```python
    for utterance, states in encoded(student, utterances, batch_size=8):
        print(utterance.id, states.shape)
    ```
    """
    if not backbone.batch_independent:
        batch_size = 1
    order = iter(batch_order(utterances, batch_size))
    batches = pipeline(utterances, batch_size).as_numpy_iterator()
    while (batch := _next(batches)) is not None:
        speech = batch["speech"]
        group = [next(order) for _ in speech["waveform"]]
        _check_lengths(backbone, group, speech["padding_mask"])
        if not backbone.batch_independent:
            real = speech["padding_mask"][0]
            speech = {name: values[:, real] for name, values in speech.items()}
        # The backend's compiled function, kept by the encoder; a direct call would run eagerly.
        outputs = backbone.predict_on_batch(speech)
        rows = zip(group, outputs["hidden_states"], outputs["mask"], strict=True)
        for utterance, states, mask in rows:
            yield utterance, states[:, mask].astype("float32")


def _check_lengths(backbone, utterances, padding_mask):
    """Refuse utterances that give the encoder no frame."""
    samples = padding_mask.sum(axis=1)
    frames = frame_counts(samples, backbone.conv_kernels, backbone.conv_strides)
    for utterance, count, length in zip(utterances, frames, samples, strict=True):
        if count < 1:
            raise ValueError(
                f"The utterance {utterance.id!r} ({utterance.audio}) has {length} samples, less "
                "than one frame of the encoder; leave it out."
            )


def _next(batches):
    """The next batch, `None` after the last."""
    with bad_input_explained():
        return next(batches, None)
