import pytest

from experiments.understanding.configuration import Understanding
from experiments.understanding.run import understand
from tests.experiments.understanding.small_corpora import write_snips
from tests.small import speech_student


@pytest.fixture(scope="package")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "small"
    speech_student(dim=32).save_to_preset(str(folder))
    return str(folder)


@pytest.fixture(scope="package")
def intents(encoder, tmp_path_factory):
    """Two seeds and two learning rates."""
    settings = Understanding(
        "ic",
        encoder=encoder,
        learning_rates=(1e-2, 1e-4),
        seeds=(0, 1),
        out=tmp_path_factory.mktemp("intents"),
        tiny=True,
    )
    return settings, understand(settings)


@pytest.fixture(scope="package")
def slots(encoder, tmp_path_factory):
    """Slot filling, dropout and SpecAugment included, on a small corpus of short tones."""
    folder = tmp_path_factory.mktemp("slots")
    speakers = {"train": ["Ann", "Ben", "Cid", "Dan"], "valid": ["Eve"], "test": ["Flo"]}
    settings = Understanding(
        "sf",
        encoder=encoder,
        data=write_snips(folder / "snips", speakers),
        out=folder,
        export=folder / "saved_model",
        tiny=True,
    )
    return settings, understand(settings)
