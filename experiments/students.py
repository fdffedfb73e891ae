"""The speech encoder that experiments start from."""

import pathlib

import keras

from pad_keras import models
from pad_keras.files import replaced_folder, write_atomically

# Pretrained by experiments.pretrain; its README.md is the model card.
PRETRAINED = str(pathlib.Path(__file__).parents[1] / "saved_models" / "mini-hubert")


def save_undistilled(preset, folder):
    """The student as it is before distillation, so that heads can be trained on it too.

    Args:
        preset: str, a size with random weights, or a preset.
        folder: path; what is there already is kept.

    Returns:
        `pathlib.Path`, the folder.

    Raises:
        ValueError: if what is there is another student.
    """
    note = folder.with_name("student.txt")
    if folder.is_dir() and note.read_text() != preset:
        raise ValueError(
            f"{folder.parent} holds a run with the student {note.read_text()!r}, not {preset!r}; "
            "give another --out, or remove the folder."
        )
    if not folder.is_dir():
        write_atomically(note, preset)
        keras.utils.set_random_seed(0)
        student = models.Wav2Vec2Backbone.from_preset(preset)
        with replaced_folder(folder) as partial:
            student.save_to_preset(str(partial))
    return folder
