"""The report of a pretraining run in the terminal."""

from experiments.results import print_table


def print_report(results, folder):
    """Print each stage's first and last measures, and where everything is.

    Args:
        results: dict, as `experiments.pretraining.run.pretrain` returns it.
        folder: path of the run.
    """
    rows = []
    for index, history in enumerate(results["history"], start=1):
        for name in (name for name in history[0] if name != "epoch"):
            rows.append([f"stage {index}: {name}", history[0][name], history[-1][name]])
    settings, hours = results["configuration"], results["hours"]
    print_table(
        f"{settings['objective']}, {hours['audio']:.2f} hours of speech, "
        f"{results['parameters'] / 1e6:.1f} M parameters",
        ["measure", "first epoch", "last epoch"],
        rows,
    )
    print(f"encoder      {folder / 'encoder'}")
    print(f"results      {folder / 'results.json'}")
    if (folder / "tensorboard").is_dir():  # TensorFlow writes it, where it is installed.
        print(f"TensorBoard  tensorboard --logdir {folder / 'tensorboard'}")
