"""Distil a text teacher into a speech encoder, by PAD, a baseline or an ablation.

    python -m experiments.distill pad-slocal                # embedded corpus, teacher and student
    python -m experiments.distill pad-slocal --tiny         # the same in a minute
    python -m experiments.distill pad-slocal --data.root LibriSpeech ...  # README has the whole

`python -m experiments.distill pad-slocal --help` explains each field. The first command takes
10 epochs of 24 minutes of speech, about five minutes on two CPU cores. Expect recall@1 of
text-to-speech retrieval around 0.1 on unseen speakers and sentences (chance 0.013). Everything
goes to runs/pad-slocal: configuration, results, the best epoch's student as a preset, and
`tensorboard --logdir runs`. A run that was stopped goes on when the same command is given again.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import tyro

from experiments import processes
from experiments.command_line import explained_errors
from experiments.distillation.methods import configurations
from experiments.distillation.report import print_report
from experiments.distillation.run import distill


def main():
    """Read the command line and run."""
    configuration = tyro.extras.overridable_config_cli(configurations(), description=__doc__)
    processes.join()
    results = distill(configuration)
    print_report(results, configuration.folder)


if __name__ == "__main__":
    with explained_errors():
        main()
