"""Small wav2vec 2.0 and HuBERT checkpoints, as the transformers library writes them."""

import keras
import numpy as np
import pytest

from pad_keras.models.wav2vec2 import Wav2Vec2Backbone
from tests.models.wav2vec2.variants import SMALL_ARGUMENTS, build_reference


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Function of a variant to its transformers model and the folder that it is saved in."""
    pytest.importorskip("transformers")
    made = {}

    def get(variant):
        if variant not in made:
            model = build_reference(variant)
            folder = tmp_path_factory.mktemp(variant)
            model.save_pretrained(folder)
            made[variant] = (model, folder)
        return made[variant]

    return get


@pytest.fixture
def waveforms():
    """Two utterances, of 2400 and 1500 samples, zero-padded, and their mask."""
    rng = np.random.default_rng(3)
    mask = np.arange(2400)[None, :] < np.array([[2400], [1500]])
    waveform = rng.normal(size=mask.shape).astype("float32")
    return {"waveform": np.where(mask, waveform, 0).astype("float32"), "padding_mask": mask}


@pytest.fixture
def small():
    """Function of constructor arguments to a small backbone, seeded."""

    def build(**arguments):
        keras.utils.set_random_seed(5)
        return Wav2Vec2Backbone(**{**SMALL_ARGUMENTS, **arguments})

    return build
