"""Table 1: does PAD help understanding, and more than what it refines?

    python -m experiments.table1                            # everything, embedded corpora
    python -m experiments.table1 --tiny                     # all of it in miniature, in minutes
    python -m experiments.table1 --report-only              # the table of what is done so far
    python -m experiments.table1 --methods mean-l1 pad-glob --seeds 0 --learning-rates 3e-4
    python -m experiments.table1 --student.preset hf://facebook/wav2vec2-base \
        --data.root LibriSpeech --data.train train-clean-100 --data.valid dev-clean \
        --data.test test-clean --data.hours 10 --ic.data fluent_speech_commands_dataset \
        --sf.data audio_snips --er.data IEMOCAP_full_release --recipe superb

`python -m experiments.table1 --help` explains each field. Every method distils the same student
on the same data for as many updates, and has the same budget of learning rates, of which the
validation set chooses. Heads for intents (IC), slots (SF) and emotions (ER) are then trained on the
frozen students, on the undistilled one, on log-mel filterbanks (the floor) and on the right words
(the topline). The table has mean and 95 % interval over distillation seeds; PAD is compared with
its baselines seed by seed.

It says before it starts how many distillations and sets of heads there are. Results, tables and
figures go to runs/comparison as table1.json, table1.md and table1*.png. A run that was killed goes
on when the same command is given again; jobs that are done are not done again. Given several times
at once, say with CUDA_VISIBLE_DEVICES=0 and =1, the processes share the work. What is
done of the table is in experiments/results/README.md. Measured on one core of a machine without
AVX-512: 6 epochs took 11 minutes, the heads of intents and of emotions a minute or two, an update
of a slot filler 1.7 s.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import dataclasses

import tyro

from experiments.command_line import explained_errors
from experiments.comparison.configuration import UNDISTILLED, Comparison, Variant
from experiments.comparison.outcome import compare
from experiments.distillation.methods import METHODS

# What each method refines.
PAIRS = (
    ("pad-glob", "mean-l1"),
    ("pad-tlocal", "token-cosine"),
    ("pad-slocal", "token-cosine"),
    ("pad-slocal", "pad-tlocal"),
    ("pad-slocal", "pad-slocal-no-prior"),
    ("joint", "pad-slocal"),
    ("joint", "pad-glob"),
    # Beyond the paper.
    ("joint-centred", "joint"),
    ("joint-contrastive", "joint"),
    ("joint-contrastive", "mean-l1"),
)


@dataclasses.dataclass(frozen=True)
class Table1(Comparison):
    """Methods of distillation, compared."""

    methods: tuple[str, ...] = (
        "mean-l1",
        "mean-l2",
        "splat-seq",
        "splat-tok",
        "sentence-cosine",
        "token-cosine",
        "pad-glob",
        "pad-tlocal",
        "pad-slocal",
        "joint",
    )
    """Names as of `python -m experiments.distill --help`."""

    def __post_init__(self):
        """Check the methods too."""
        super().__post_init__()
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown or not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError(
                f"`methods` must be different ones of {tuple(METHODS)}, at least one, got "
                f"{self.methods!r}."
            )

    def resolved(self):
        """The comparison that is run; its tiny form has a baseline and what refines it."""
        resolved = super().resolved()
        return (
            dataclasses.replace(resolved, methods=("mean-l1", "pad-glob"))
            if self.tiny
            else resolved
        )

    def variants(self):
        """The methods."""
        return [Variant(name, *METHODS[name]) for name in self.methods]


def pairs_of(methods):
    """The pairs to compare: each method of PAD with what it refines, and each with no distillation.

    Args:
        methods: sequence of str.

    Returns:
        List of `(name, baseline)`.
    """
    refinements = [pair for pair in PAIRS if set(pair) <= set(methods)]
    return [*refinements, *((name, UNDISTILLED) for name in methods)]


def main(settings):
    """Run, print and write Table 1.

    Args:
        settings: `Table1`.

    Returns:
        Dict, the contents of `table1.json`.
    """
    pairs = pairs_of(settings.resolved().methods)
    return compare(settings, "table1", pairs, {"table1": ("Table 1", None)})


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Table1, description=__doc__))
