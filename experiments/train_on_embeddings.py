"""Train a classifier on an exported encoder's embeddings; needs TensorFlow and scikit-learn.

    python experiments/train_on_embeddings.py saved_models/quickstart-student DATA
    python experiments/train_on_embeddings.py saved_models/intents DATA --cross-validation 5

DATA holds a folder of WAV files for each class: DATA/<label>/*.wav. The frames of a file are
averaged, by their significance or evenly; a logistic regression learns the labels from that.
Prints the accuracy on files that it was not trained on, beside the share of the greatest class. The
split is random: where a speaker has several files, some fall on either side. Nothing is saved.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from serve_encoder import reason
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

POOLINGS = ("significance", "mean")


def labelled_files(folder):
    """WAV files and the names of the folders they lie in.

    Args:
        folder: str, of class folders.

    Returns:
        `(files, labels)`: lists of `pathlib.Path` and of str, sorted.

    Raises:
        SystemExit: naming the folder, if fewer than two classes have two files each.
    """
    found = pathlib.Path(folder).glob("[!.]*/[!.]*")
    files = sorted(p for p in found if p.suffix.lower() == ".wav" and p.is_file())
    labels = [file.parent.name for file in files]
    few = sorted(label for label in set(labels) if labels.count(label) < 2)
    if len(set(labels)) < 2 or few:
        raise SystemExit(
            f"{folder}: there must be two classes or more, each a folder of two WAV files or more; "
            f"found {sorted(set(labels))}" + (f", of one file only {few}." if few else ".")
        )
    return files, labels


def features(saved_model, files, pooling):
    """One vector a file: the weighted mean of its frames.

    Args:
        saved_model: str, folder that `export_saved_model` wrote.
        files: list of `pathlib.Path`.
        pooling: `"significance"` or `"mean"`.

    Returns:
        `[files, dim]` float32 array.

    Raises:
        SystemExit: naming the folder, if it is no such SavedModel, or a file that it refuses.
    """
    try:
        embed = tf.saved_model.load(saved_model).signatures["embed_wav"]
    except Exception as error:  # A damaged SavedModel raises errors of many kinds.
        raise SystemExit(
            f"{saved_model}: no SavedModel with embed_wav can be read there "
            f"({type(error).__name__})."
        ) from error
    rows = []
    for file in files:
        try:
            # One by one: memory does not depend on how many there are.
            outputs = embed(contents=tf.constant([file.read_bytes()]))
        except tf.errors.OpError as error:
            raise SystemExit(f"{file}: {reason(error)}") from error
        frames = outputs["embeddings"][0].numpy()
        weights = outputs["significance"][0].numpy() if pooling == "significance" else None
        rows.append(np.average(frames, axis=0, weights=weights))
    return np.stack(rows)


def held_out_accuracy(vectors, labels, test_share, seed):
    """Accuracy on a part of the files, with the same mixture of classes.

    Args:
        vectors: `[files, dim]` array.
        labels: list of str.
        test_share: float between 0 and 1.
        seed: int.

    Returns:
        `(accuracy, majority, files)`: of the held-out part, what always answering with the
        training part's greatest class would reach, and its size.

    Raises:
        SystemExit: if the part cannot hold a file of every class.
    """
    try:
        train, test, train_labels, test_labels = train_test_split(
            vectors, labels, test_size=test_share, random_state=seed, stratify=labels
        )
    except ValueError as error:
        raise SystemExit(f"--test-share {test_share}: {error}") from error
    accuracy = classifier().fit(train, train_labels).score(test, test_labels)
    greatest = max(sorted(set(train_labels)), key=train_labels.count)
    return accuracy, test_labels.count(greatest) / len(test_labels), len(test_labels)


def cross_validated_accuracy(vectors, labels, folds, seed):
    """Accuracies on each fold of a stratified cross-validation.

    Args:
        vectors: `[files, dim]` array.
        labels: list of str.
        folds: int, no more than the smallest class has files.
        seed: int.

    Returns:
        `[folds]` array.

    Raises:
        SystemExit: if there are more folds than files of a class, or fewer than two.
    """
    smallest = min(map(labels.count, set(labels)))
    if not 2 <= folds <= smallest:
        raise SystemExit(
            f"--cross-validation {folds}: must be 2 to {smallest}, the files of the smallest class."
        )
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return cross_val_score(classifier(), vectors, labels, cv=splits)


def classifier():
    """A logistic regression of features brought to one scale.

    Returns:
        scikit-learn `Pipeline`.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def main():
    """Read the command line, train, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model", help="folder that export_saved_model wrote")
    parser.add_argument("data", help="folder of class folders of WAV files")
    parser.add_argument("--pooling", choices=POOLINGS, default="significance", help="of frames")
    parser.add_argument("--test-share", type=float, default=0.25, help="files to hold out")
    parser.add_argument("--cross-validation", type=int, metavar="FOLDS", help="in its place")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    arguments = parser.parse_args()
    files, labels = labelled_files(arguments.data)
    vectors = features(arguments.saved_model, files, arguments.pooling)
    print(f"files {len(files)}, classes {len(set(labels))}, features {vectors.shape[1]}")
    if arguments.cross_validation is None:
        accuracy, majority, held_out = held_out_accuracy(
            vectors, labels, arguments.test_share, arguments.seed
        )
        print(f"accuracy {accuracy:.3f} on {held_out} held-out files")
    else:
        accuracies = cross_validated_accuracy(
            vectors, labels, arguments.cross_validation, arguments.seed
        )
        majority = max(map(labels.count, set(labels))) / len(labels)
        print(
            f"accuracy {accuracies.mean():.3f} in {len(accuracies)} folds, "
            f"{accuracies.min():.3f} to {accuracies.max():.3f}"
        )
    print(f"majority class {majority:.3f}")


if __name__ == "__main__":
    main()
