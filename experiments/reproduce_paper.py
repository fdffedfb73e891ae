"""The paper's protocol on the real corpora, with SUPERB's published row beside.

    python -m experiments.reproduce_paper --librispeech LibriSpeech \
        --fsc fluent_speech_commands_dataset --snips audio_snips --iemocap IEMOCAP_full_release
    python -m experiments.reproduce_paper --librispeech LibriSpeech --fsc ... --plan  # cost alone
    python -m experiments.reproduce_paper --librispeech LibriSpeech --fsc ... --tiny  # in minutes

wav2vec2-base learns from bert-base-uncased on 10 hours of LibriSpeech, by each method of the paper
and each of its baselines; then SUPERB's heads for intents (Fluent Speech Commands), slots (Audio
SNIPS) and emotions (IEMOCAP) are trained on the frozen encoders. Corpora that are not given are
left out. `python -m experiments.reproduce_paper --help` explains each field.

Before it starts it times a few steps on this machine and prints what the whole will take, in hours
and on disk; with --plan it stops there. Results go to runs/paper as paper.json, paper.md,
superb.md and pictures. A run that was killed goes on when the same command is given again; jobs
that are done are not done again, and the plan counts what is left.

The whole has not been run: these corpora were not at hand. What is tested is the tiny
mode, on small trees in the corpora's layouts, with narrow checkpoints of the two architectures and
random weights; PAD_KERAS_WHOLE_CHECKPOINTS=1 makes tests/experiments/test_reproduce_paper.py take
checkpoints of the full size.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import dataclasses
import pathlib
from typing import Literal

import tyro

from experiments.command_line import explained_errors
from experiments.comparison.configuration import Heads
from experiments.comparison.grid import Grid
from experiments.comparison.outcome import compare
from experiments.comparison.report import markdown, print_tables
from experiments.comparison.run import announce, prepare_student
from experiments.distillation.configuration import Data, Student, Teacher
from experiments.distillation.corpora import read_corpora
from experiments.paper.cost import COLUMNS, measure, rows, works
from experiments.paper.superb import as_superb_hears, beside_superb
from experiments.results import plain, print_table, write_json
from experiments.table1 import Table1, pairs_of
from pad_keras.data import total_hours
from pad_keras.files import write_atomically


@dataclasses.dataclass(frozen=True)
class PaperTable(Table1):
    """Table 1 from an encoder that hears what SUPERB's does.

    Its tiny form has one method: full architectures take their time.
    """

    def resolved(self):
        """The comparison that is run."""
        resolved = super().resolved()
        if not self.tiny:
            return resolved
        return dataclasses.replace(resolved, methods=self.methods[-1:])

    def adapt_student(self, student):
        """The student, on waveforms as SUPERB has them."""
        return as_superb_hears(student)


@dataclasses.dataclass(frozen=True)
class ReproducePaper:
    """The paper's protocol: encoders, corpora, budget."""

    librispeech: pathlib.Path
    """Folder with LibriSpeech's subsets: train-clean-100, dev-clean, test-clean."""
    fsc: pathlib.Path | None = None
    """Folder of Fluent Speech Commands (IC); None leaves the task out."""
    snips: pathlib.Path | None = None
    """Folder of Audio SNIPS (SF); None leaves the task out."""
    iemocap: pathlib.Path | None = None
    """Folder of IEMOCAP (ER); None leaves the task out."""
    student: str = "hf://facebook/wav2vec2-base"
    """A preset's folder, a folder in the transformers layout, or hf://owner/name."""
    teacher: str = "hf://google-bert/bert-base-uncased"
    """A folder in the transformers layout, a KerasHub preset, or hf://owner/name."""
    train: tuple[str, ...] = ("train-clean-100",)
    """Subsets to distil on."""
    valid: tuple[str, ...] = ("dev-clean",)
    """Subsets that choose the best epoch and the learning rate."""
    test: tuple[str, ...] = ("test-clean",)
    """Subsets on which alignment is measured."""
    hours: float = 10.0
    """Hours to distil on, as in the paper, balanced over speakers."""
    evaluation_hours: float = 1.0
    """Hours of each of valid, measured after each epoch, and of test, measured at the end."""
    methods: tuple[str, ...] = Table1.methods
    """Names as of `python -m experiments.distill --help`."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of distillation; from three on, tables have intervals."""
    learning_rates: tuple[float, ...] = (2e-5, 5e-5, 1e-4)
    """Budget of the search of each method's learning rate, chosen on valid by retrieval."""
    epochs: int = 20
    """Of each distillation."""
    batch_size: int = 8
    """Utterances of a step of distillation."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "mixed_bfloat16"
    """Dtype policy of the student while it is distilled; float32 suits CPUs."""
    buckets: int = 12
    """Lengths that batches of distillation are padded to; fewer where compiling takes longest."""
    head_learning_rates: tuple[float, ...] = (1e-4,)
    """Of the heads; the best on valid is tested. SUPERB lets one tune it and nothing else."""
    head_seeds: tuple[int, ...] = (0,)
    """Of the heads of each encoder."""
    cache_slot_frames: bool = False
    """Keep the frames that slot fillers train on while one encoder's are trained: faster, but
    hundreds of GB for the whole of Audio SNIPS."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a broken file or line of a corpus does: stop, or be left out and listed."""
    out: pathlib.Path = pathlib.Path("runs/paper")
    """Everything goes here."""
    plan: bool = False
    """Print what it will take, and stop."""
    tiny: bool = False
    """Try everything out: one method, one seed, a few utterances and updates."""

    @property
    def corpora(self):
        """Folders of the tasks' corpora that were given, by task."""
        given = {"ic": self.fsc, "sf": self.snips, "er": self.iemocap}
        return {task: root for task, root in given.items() if root is not None}

    def comparison(self):
        """The comparison that this is.

        Returns:
            `Table1`.

        Raises:
            ValueError: if no task is given, or what `Table1` refuses.
            FileNotFoundError: naming a folder that is not there.
        """
        if not self.corpora:
            raise ValueError("Give at least one of --fsc, --snips and --iemocap.")
        for root in (self.librispeech, *self.corpora.values()):
            if not root.is_dir():
                raise FileNotFoundError(f"There is no folder {str(root)!r}.")
        heads = {
            task: Heads(
                self.head_learning_rates,
                self.head_seeds,
                data=root,
                cache=task != "sf" or self.cache_slot_frames,
                on_error=self.on_error,
            )
            for task, root in self.corpora.items()
        }
        return PaperTable(
            methods=self.methods,
            seeds=self.seeds,
            learning_rates=self.learning_rates,
            select_by="retrieval",
            tasks=tuple(heads),
            **heads,
            shots=(),
            recipe="superb",
            data=Data(
                root=self.librispeech,
                train=self.train,
                valid=self.valid,
                test=self.test,
                hours=self.hours,
                evaluation_hours=self.evaluation_hours,
                on_error=self.on_error,
            ),
            student=Student(self.student),
            teacher=Teacher(self.teacher),
            epochs=self.epochs,
            batch_size=self.batch_size,
            buckets=self.buckets,
            precision=self.precision,
            out=self.out,
            tiny=self.tiny,
        )


def main(settings):
    """Print the plan, run the comparison and put it beside SUPERB's row.

    Args:
        settings: `ReproducePaper`.

    Returns:
        Dict, the contents of `paper.json`; with `plan`, that of `plan.json`.
    """
    comparison = settings.comparison()
    planned = print_plan(comparison)
    if settings.plan:
        return planned
    pairs = pairs_of(comparison.resolved().methods)
    summary = compare(comparison, "paper", pairs, {"paper": ("The paper's table", None)})
    table = beside_superb(summary)
    print_tables([table])
    write_atomically(comparison.folder / "superb.md", markdown([table]))
    return summary


def print_plan(comparison):
    """Print and write what is still to do, and what it takes on this machine.

    Args:
        comparison: `Comparison`.

    Returns:
        Dict from `work` to list of dicts.
    """
    prepare_student(comparison)
    grid = Grid(comparison)
    announce(grid)
    if all(grid.result(job) is not None for job in grid.jobs()):
        print("nothing is left to do")
        return {"work": []}
    name, rate, seed = next(iter(grid.variants)), comparison.learning_rates[0], comparison.seeds[0]
    configuration = grid.distillation(name, rate, seed).configuration
    corpora = read_corpora(configuration.resolved().data)
    speeds, sizes, splits = measure(grid.comparison, configuration, corpora)
    hours = {name: total_hours(utterances) for name, utterances in corpora.items()}
    found = works(grid, hours, splits, speeds, sizes)
    print_table("What is to do, and what it takes on this machine", COLUMNS, rows(found))
    print(
        "Hours: from a few steps timed here, without heads' evaluation and waiting for files. "
        "TensorFlow runs\nsmall heads many steps at once, which is faster than that.\n"
    )
    planned = {"work": found, "speeds": speeds, "sizes": sizes}
    write_json(comparison.folder / "plan.json", planned)
    return plain(planned)


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(ReproducePaper, description=__doc__))
