"""Listen to WAV files with exported heads; needs nothing but TensorFlow.

    python experiments/listen.py speech.wav --intents saved_models/intents
    python experiments/listen.py recordings --intents saved_models/intents \
        --slots saved_models/slots --emotion saved_models/emotion --json

Prints what each model says of each file and how sure it is (0 to 1): a table at the end, or a
line of JSON a file at once. Files may have any usual rate. One that cannot be served is named on
stderr with the reason, the others go on, and the exit status is 1 in the end.
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from serve_encoder import reason


def labels(outputs):
    """What a classifier says of a file.

    Args:
        outputs: dict of the signature `serve_wav` of an exported `UtteranceClassifier`.

    Returns:
        Dict of each group's label and `<group>_confidence`.
    """
    told = {}
    for group in sorted(name for name in outputs if f"{name}_probabilities" in outputs):
        told[group] = outputs[group].numpy()[0].decode()
        told[f"{group}_confidence"] = float(tf.reduce_max(outputs[f"{group}_probabilities"]))
    return told


def words_and_slots(outputs):
    """What a slot filler says of a file.

    Args:
        outputs: dict of the signature `serve_wav` of an exported `SlotFiller`.

    Returns:
        Dict of `words`, `slots` and `confidence`.
    """
    told = {name: outputs[name].numpy()[0].decode() for name in ("words", "slots")}
    return {**told, "confidence": float(outputs["confidence"][0])}


# Option: its help, how outputs are told, and what tells that it is the right kind of model.
MODELS = {
    "intents": ("UtteranceClassifier of intents", labels, "_probabilities"),
    "slots": ("SlotFiller", words_and_slots, "slots"),
    "emotion": ("UtteranceClassifier of emotions", labels, "_probabilities"),
}


def load(option, folder):
    """Load a model's signature.

    Args:
        option: str, a key of `MODELS`.
        folder: str, the SavedModel.

    Returns:
        Function of `contents` `[batch]` string.

    Raises:
        SystemExit: naming the folder, if there is no SavedModel or one of another kind.
    """
    kind, _, ending = MODELS[option]
    try:
        serve = tf.saved_model.load(folder).signatures["serve_wav"]
    except Exception as error:  # A damaged SavedModel raises errors of many kinds.
        raise SystemExit(
            f"--{option} {folder}: no SavedModel with serve_wav can be read there "
            f"({type(error).__name__})."
        ) from error
    if not any(name.endswith(ending) for name in serve.structured_outputs):
        raise SystemExit(
            f"--{option} {folder}: must be an exported {kind}, its outputs are "
            f"{sorted(serve.structured_outputs)}."
        )
    return serve


def wav_files(paths):
    """Files, and the WAV files under folders.

    Args:
        paths: sequence of str.

    Returns:
        List of `pathlib.Path`; those of a folder are sorted.

    Raises:
        SystemExit: naming a folder without WAV files.
    """
    files = []
    for path in map(pathlib.Path, paths):
        found = [path]
        if path.is_dir():
            found = sorted(_wav_files(path))
        if not found:
            raise SystemExit(f"{path}: no *.wav under this folder.")
        files.extend(found)
    return files


def _wav_files(folder):
    """WAV files under a folder, also in linked folders."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        if parent != str(folder) and os.path.samefile(parent, folder):
            folders.clear()  # A link that leads back.
            continue
        for name in names:
            if name.lower().endswith(".wav") and not name.startswith("."):
                yield pathlib.Path(parent, name)


def listen(models, file):
    """Ask every model about a file.

    Args:
        models: dict from option to signature.
        file: `pathlib.Path`.

    Returns:
        Dict of `file` and, for each option, a dict of what its model says.

    Raises:
        OSError: if the file cannot be read.
        tf.errors.InvalidArgumentError: if it cannot be served.
    """
    contents = tf.constant([file.read_bytes()])
    told = {option: MODELS[option][1](serve(contents=contents)) for option, serve in models.items()}
    return {"file": str(file), **told}


def print_table(answers):
    """Print answers below each other.

    Args:
        answers: list of dicts, as `listen` gives them.
    """
    options = [option for option in MODELS if option in answers[0]]
    names = [name for option in options for name in answers[0][option]]
    # The confidence stands behind what it belongs to.
    heading = ["file", *("confidence" if n.endswith("_confidence") else n for n in names)]
    rows = []
    for answer in answers:
        values = [value for option in options for value in answer[option].values()]
        cells = (f"{value:.2f}" if isinstance(value, float) else value for value in values)
        rows.append([answer["file"], *cells])
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    for cells in (heading, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(line.rstrip())


def main():
    """Read the command line and listen.

    Returns:
        int, the exit status.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", help="WAV files, or folders of them")
    for option, (kind, *_) in MODELS.items():
        parser.add_argument(f"--{option}", metavar="FOLDER", help=f"an exported {kind}")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a file")
    arguments = parser.parse_args()
    folders = {option: getattr(arguments, option) for option in MODELS}
    if not any(folders.values()):
        parser.error(f"give at least one of {', '.join(f'--{option}' for option in MODELS)}")
    files = wav_files(arguments.paths)
    models = {option: load(option, folder) for option, folder in folders.items() if folder}
    answers, status = [], 0
    for file in files:
        try:
            answers.append(listen(models, file))
        except (OSError, tf.errors.OpError) as error:
            why = reason(error) if isinstance(error, tf.errors.OpError) else error.strerror
            print(f"{file}: {why}", file=sys.stderr, flush=True)
            status = 1
            continue
        if arguments.json:
            print(json.dumps(answers[-1]), flush=True)
    if answers and not arguments.json:
        print_table(answers)
    return status


if __name__ == "__main__":
    sys.exit(main())
