"""What tests of cached hidden states share."""

import numpy as np

from pad_keras.data import HiddenStateCache, decode_audio
from tests.backend import numpy_of

COUNT = 8


def build(*args, batch_size=4, **options):
    """Batches of few shapes, for which a student is compiled once."""
    return HiddenStateCache.build(*args, batch_size=batch_size, **options)


def states_of(cache, utterance):
    return cache.read(str(cache.path(utterance))).numpy()


def computed(student, utterance):
    """The encoder's states of one utterance alone, without padding."""
    waveform = decode_audio(utterance.audio).numpy()[None]
    speech = {"waveform": waveform, "padding_mask": np.ones_like(waveform, bool)}
    outputs = numpy_of(student(speech))
    assert outputs["mask"].all()
    return outputs["hidden_states"][0]


def files(folder):
    return sorted(path.name for path in folder.glob("??/*"))
