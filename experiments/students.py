"""The speech encoders that are shipped, and what a run keeps of the one that it starts from."""

import pathlib

import keras

from pad_keras import models
from pad_keras.files import replaced_folder, write_atomically

_SHIPPED = pathlib.Path(__file__).parents[1] / "saved_models"
# Pretrained by experiments.pretrain, and what PAD made of it in longer than a quickstart takes.
# Their README.md are the model cards.
PRETRAINED = str(_SHIPPED / "mini-hubert")
DISTILLED = str(_SHIPPED / "mini-hubert-pad")


def save_undistilled(preset, folder, adapt=None):
    """The student as it is before distillation, so that heads can be trained on it too.

    Args:
        preset: str, a size with random weights, or a preset.
        folder: path; what is there already is kept.
        adapt: function from the student that was loaded to the one that is kept; `None` keeps it.

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
        if adapt is not None:
            student = adapt(student)
        with replaced_folder(folder) as partial:
            student.save_to_preset(str(partial))
    return folder
