"""Pretrain a speech encoder on anybody's audio, without transcripts or labels.

    python -m experiments.pretrain --audio LibriSpeech/train-clean-100 --valid LibriSpeech/dev-clean
    python -m experiments.pretrain --audio RECORDINGS --valid OTHERS --objective wav2vec2
    python -m experiments.pretrain --tiny                   # in a minute

By HuBERT's masked prediction (arXiv 2106.07447): clusters of MFCC first, then of the encoder's own
hidden states; or by wav2vec 2.0's contrast (arXiv 2006.11477). The script needs no TensorFlow
(KerasHub before 0.32 does): KERAS_BACKEND=jax or torch, for a GPU, with --precision mixed_bfloat16.
Everything goes to runs/pretraining: configuration, results, `encoder` as a preset, checkpoints and
`tensorboard --logdir runs`. The same command goes on where a killed one stopped.
`--help` explains each field.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import tyro

from experiments import processes
from experiments.command_line import explained_errors
from experiments.pretraining.configuration import Pretraining
from experiments.pretraining.report import print_report
from experiments.pretraining.run import pretrain


def main():
    """Read the command line and run."""
    configuration = tyro.cli(Pretraining, description=__doc__)
    processes.join()
    print_report(pretrain(configuration), configuration.folder)


if __name__ == "__main__":
    with explained_errors():
        main()
