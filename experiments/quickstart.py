"""PAD from end to end on what the repository carries.

    python -m experiments.quickstart                     # or: make quickstart
    python -m experiments.quickstart --tiny              # in a minute or two
    python -m experiments.quickstart --student PATH      # another student

Loads the real pretrained MiniLM BERT as teacher, the pretrained mini student and the embedded
corpora; distils by PAD-Glob and PAD-SLocal together; shows retrieval before and after on unseen
speakers; trains heads for intents on three frozen encoders: the student before, the student after,
and the one that is shipped, which was distilled by the same losses for longer and on more speech;
and heads for slots on the first and the last of these. Exports the student and the heads on the
shipped one as SavedModels and asks them in processes of their own that have TensorFlow alone. Takes
some twenty minutes on two CPU cores. Expect retrieval well above chance on unseen speakers, and
four times as many intents from the shipped encoder as from the undistilled one.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import soundfile
import tyro

from experiments.command_line import explained_errors
from experiments.distillation.configuration import Configuration, Student, Training
from experiments.distillation.corpora import read_corpora
from experiments.distillation.methods import METHODS
from experiments.distillation.report import print_report
from experiments.distillation.run import distill
from experiments.results import print_table, write_json
from experiments.students import DISTILLED, PRETRAINED, save_undistilled
from experiments.understanding.configuration import Understanding
from experiments.understanding.corpora import read_splits
from experiments.understanding.report import MEASURES
from experiments.understanding.run import understand
from pad_keras import data, export_saved_model, models

SCRIPTS = pathlib.Path(__file__).parent
# Both of PAD's scales: the global loss finds sentences soonest, the local one words.
_, OBJECTIVE = METHODS["joint"]
SHIPPED = pathlib.Path(DISTILLED).name
# Task: updates of its heads, the name of its SavedModel, and the encoders. A slot filler takes
# minutes until it hears anything.
HEADS = {
    "ic": (400, "intents", ("undistilled", "distilled", SHIPPED)),
    "sf": (500, "slots", ("undistilled", SHIPPED)),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What quickstart uses in place of its defaults."""

    student: str = PRETRAINED
    """Student's preset: a size with random weights, or a folder."""
    epochs: int = 6
    """Passes over the 24 minutes of the embedded corpus."""
    out: pathlib.Path = pathlib.Path("runs")
    """The run writes into OUT/quickstart."""
    saved_models: pathlib.Path = pathlib.Path("saved_models")
    """The SavedModels are written here."""
    tiny: bool = False
    """Try everything out in a minute or two."""

    @property
    def name(self):
        """Begins the names of the SavedModels."""
        return "quickstart-tiny" if self.tiny else "quickstart"


def main(settings):
    """Distil, understand, export, ask.

    Args:
        settings: `Settings`.
    """
    undistilled = save_undistilled(settings.student, settings.out / settings.name / "undistilled")
    configuration = Configuration(
        name="quickstart",
        objective=OBJECTIVE,
        student=Student(preset=str(undistilled)),
        training=Training(epochs=settings.epochs),
        out=settings.out,
        tiny=settings.tiny,
    )
    folder = configuration.folder
    distillation = distill(configuration)
    encoders = {
        "undistilled": undistilled,
        "distilled": folder / "student",
        SHIPPED: DISTILLED,
    }
    heads = {
        task: {name: judge(settings, task, name, encoders[name]) for name in names}
        for task, (_, _, names) in HEADS.items()
    }
    student = models.Wav2Vec2Backbone.from_preset(str(folder / "student"))
    export_saved_model(student, settings.saved_models / f"{settings.name}-student", overwrite=True)
    print_report(distillation, folder)
    table = comparison(heads, encoders)
    print_table("heads on test: unseen speakers", ["measure", *encoders, "chance"], table)
    write_json(folder / "quickstart.json", {"distillation": distillation, "heads": heads})
    ask(settings, configuration)


def judge(settings, task, name, encoder):
    """Train and test a head on an encoder; that on the shipped one is exported.

    Args:
        settings: `Settings`.
        task: `"ic"` or `"sf"`.
        name: str, how the encoder is called.
        encoder: str or path of the preset.

    Returns:
        Dict, as `understand` gives it.
    """
    updates, model, _ = HEADS[task]
    saved_model = settings.saved_models / f"{settings.name}-{model}"
    understanding = Understanding(
        task,
        encoder=str(encoder),
        updates=None if settings.tiny else updates,
        export=saved_model if name == SHIPPED else None,
        out=settings.out / settings.name,
        name=f"{task}-{name}",
        tiny=settings.tiny,
    )
    print(f"\n{task} on the student {name}")
    return understand(understanding)


def comparison(heads, encoders):
    """Rows of the table of heads.

    Args:
        heads: dict from task to a dict from encoder to results.
        encoders: sequence of str, the columns.

    Returns:
        List of `[measure, one cell an encoder, chance]`; a dash where nothing was measured.
    """
    rows = []
    for task, results in heads.items():
        first = next(iter(results.values()))
        for part, measures in first["test"].items():
            for measure in measures:
                label = f"{task}: {MEASURES[measure]}" + ("" if part == "all" else f", {part}")
                means = [
                    results[name]["test"][part][measure]["mean"] if name in results else "-"
                    for name in encoders
                ]
                chance = first["chance"][measure] if part == "all" else "-"
                rows.append([label, *means, chance])
    return rows


def ask(settings, configuration):
    """Ask the SavedModels about one utterance each, and print what they say.

    Args:
        settings: `Settings`.
        configuration: `Configuration` of the distillation.
    """
    folder = configuration.folder
    base = str(settings.saved_models / settings.name)
    print("SavedModels, each asked in a fresh process that has TensorFlow alone:")
    utterance = read_corpora(configuration.resolved().data)["valid"][0]
    arguments = [f"{base}-student", write_wav(utterance, folder)]
    described = json.loads(run_script("serve_encoder.py", *arguments))
    print(f"{base}-student: {utterance.text!r}")
    print(f"  frames and width: {described['shape']}, most significant at {described['seconds']} s")
    for task, (_, model, _) in HEADS.items():
        utterance = read_splits(Understanding(task))[None].test[0]
        arguments = [write_wav(utterance, folder), f"--{model}", f"{base}-{model}"]
        print(f"{base}-{model}: {utterance.text!r}")
        print(run_script("listen.py", *arguments))


def write_wav(utterance, folder):
    """Write an utterance as a WAV file.

    Args:
        utterance: `Utterance`.
        folder: path.

    Returns:
        `pathlib.Path` of the file.
    """
    path = folder / f"{pathlib.Path(utterance.id).stem}.wav"
    soundfile.write(path, data.decode_audio(utterance.audio).numpy(), data.SAMPLE_RATE)
    return path


def run_script(name, *arguments):
    """Run a script of this folder in a fresh process.

    Args:
        name: str, file name.
        *arguments: str or path.

    Returns:
        str, what it printed.

    Raises:
        subprocess.CalledProcessError: if the process fails; it has printed why.
    """
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
