"""PAD from end to end on what the repository carries.

    python -m experiments.quickstart                     # or: make quickstart
    python -m experiments.quickstart --tiny              # in a minute
    python -m experiments.quickstart --student PATH      # another student

Loads the real pretrained MiniLM BERT as teacher, the mini student and the embedded corpus;
distils by PAD-SLocal; shows retrieval before and after on unseen speakers; exports the student as
a SavedModel and asks it in a process of its own that has TensorFlow alone. Takes about six
minutes on two CPU cores. A student with random weights learns little in that time: the loss falls
on unseen speakers too, retrieval may stay near chance.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import soundfile
import tyro

from experiments.distillation.configuration import Configuration, Student, Training
from experiments.distillation.report import print_report
from experiments.distillation.run import distill, read_corpora
from pad_keras import data, export_saved_model, models

SERVE = pathlib.Path(__file__).with_name("serve_encoder.py")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What quickstart uses in place of its defaults."""

    student: str = "mini"
    """Student's preset: a size with random weights, or a folder."""
    epochs: int = 3
    """Passes over the 24 minutes of the embedded corpus."""
    out: pathlib.Path = pathlib.Path("runs")
    """The run writes into OUT/quickstart."""
    saved_models: pathlib.Path = pathlib.Path("saved_models")
    """The SavedModel is written here."""
    tiny: bool = False
    """Try everything out in a minute."""


def main(settings):
    """Distil, export, ask.

    Args:
        settings: `Settings`.
    """
    configuration = Configuration(
        name="quickstart",
        student=Student(preset=settings.student),
        training=Training(epochs=settings.epochs),
        out=settings.out,
        tiny=settings.tiny,
    )
    results = distill(configuration)
    print_report(results, configuration.folder)
    student = models.Wav2Vec2Backbone.from_preset(str(configuration.folder / "student"))
    saved_model = settings.saved_models / f"{configuration.folder.name}-student"
    export_saved_model(student, saved_model, overwrite=True)
    print(f"SavedModel   {saved_model}")
    utterance = read_corpora(configuration.resolved().data)["valid"][0]
    answer = ask(saved_model, utterance, configuration.folder)
    print(f"asked in a fresh process that has TensorFlow alone: {utterance.text!r}")
    print(f"  frames and width: {answer['shape']}, most significant at {answer['seconds']} s")


def ask(saved_model, utterance, folder):
    """Run a SavedModel on an utterance, in a fresh process.

    Args:
        saved_model: path.
        utterance: `Utterance`.
        folder: path where the utterance is written as a WAV file.

    Returns:
        Dict, as `experiments.serve_encoder.describe` gives it.

    Raises:
        subprocess.CalledProcessError: if the process fails; it has printed why.
    """
    wav = folder / f"{utterance.id}.wav"
    soundfile.write(wav, data.decode_audio(utterance.audio).numpy(), data.SAMPLE_RATE)
    command = [sys.executable, str(SERVE), str(saved_model), str(wav)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
