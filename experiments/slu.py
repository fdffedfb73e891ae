"""Judge an encoder by SUPERB's recipes: intents (ic), slots (sf) or emotions (er).

    python -m experiments.slu ic --encoder runs/pad-slocal/student
    python -m experiments.slu sf --encoder PATH --seeds 0 1 2 --learning-rates 3e-4 1e-3 3e-3
    python -m experiments.slu er --encoder PATH --data IEMOCAP_full_release --recipe superb
    python -m experiments.slu ic --encoder log-mel          # the floor: filterbanks, no encoder
    python -m experiments.slu ic --encoder text             # the topline: MiniLM of the right words
    python -m experiments.slu ic --tiny                     # in a minute

`python -m experiments.slu ic --help` explains each field. Without --data it is on the embedded
corpora. The short recipe takes one to five minutes a head on two CPU cores; SUPERB's whole
schedule wants a GPU. Everything goes to runs/TASK-ENCODER: configuration, results, each head's
weights and test answers, and `tensorboard --logdir runs` with confusion matrices, the weights of
the encoder's layers, decoded slots and HParams. The same command goes on where a killed one
stopped; more seeds or learning rates add heads to those that are there.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import tyro

from experiments import processes
from experiments.command_line import explained_errors
from experiments.understanding.configuration import configurations
from experiments.understanding.report import print_results
from experiments.understanding.run import understand


def main():
    """Read the command line and run."""
    settings = tyro.extras.overridable_config_cli(configurations(), description=__doc__)
    processes.join()
    print_results(understand(settings), settings.folder)


if __name__ == "__main__":
    with explained_errors():
        main()
