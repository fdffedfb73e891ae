"""What TensorBoard shows of a head: confusion, weights of the encoder's layers, slots, HParams."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tensorboard.plugins.hparams import api as hparams

from pad_keras.callbacks.figures import figure_array, new_figure
from pad_keras.callbacks.model_state import sync_state

_SHOWN_TEXTS = 8


class ValidationAnswers(keras.callbacks.Callback):
    """Answers the validation set after each epoch, adds the measures to the logs, and draws.

    Put it before callbacks that read the logs. Pictures are drawn of the last epoch: drawing takes
    longer than an epoch of a small head.

    Args:
        task: `Classification` or `SlotFilling`.
        batches: `tf.data.Dataset`, the validation set in a fixed order.
        utterances: list of `Utterance` in that order.
        log_dir: path of TensorBoard's log.
        pictures: bool, whether to draw.
    """

    def __init__(self, task, batches, utterances, log_dir, pictures=True):
        super().__init__()
        self.task = task
        self.batches = batches
        self.utterances = utterances
        self.log_dir = str(log_dir)
        self.pictures = pictures

    def on_train_begin(self, logs=None):
        """Open the writer."""
        self._writer = tf.summary.create_file_writer(self.log_dir)

    def on_epoch_end(self, epoch, logs=None):
        """Answer, score and draw; stop a head whose loss is no number."""
        if math.isnan(logs["loss"]):
            # It will not recover, and the scores of NaN would look like numbers.
            print("the loss is NaN; this head stops here. Lower its learning rate.")
            logs[f"val_{self.task.monitor}"] = math.nan
            self.model.stop_training = True
            return
        sync_state(self.model)
        answers = self.task.answers(self.model, self.batches)
        for name, value in self.task.scores(answers, self.utterances).items():
            logs[f"val_{name}"] = value
        if self.pictures and epoch + 1 == self.params["epochs"]:
            self._draw(answers, epoch + 1)

    def on_train_end(self, logs=None):
        """Close the writer."""
        self._writer.close()

    def _draw(self, answers, step):
        with self._writer.as_default(step=step):
            weights = ops.convert_to_numpy(self.model.weighted_sum.layer_weights())
            tf.summary.image("layer_weights", draw_layer_weights(weights)[None])
            self._show(answers)
        self._writer.flush()

    def _show(self, answers):
        if not isinstance(answers, dict):
            texts = self.task.texts(answers)[:_SHOWN_TEXTS]
            references = self.task.references(self.utterances[:_SHOWN_TEXTS])
            tf.summary.text("slots", text_table(references, texts))
            return
        truth = self.task.targets(self.utterances)
        for group, names in self.task.labels.items():
            counts = confusion(truth[group], answers[group].argmax(1), len(names))
            tf.summary.image(f"confusion/{group}", draw_confusion(counts, names)[None])


def confusion(truth, found, classes):
    """Counts of right and found labels.

    Args:
        truth: `[utterances]` int.
        found: `[utterances]` int.
        classes: int.

    Returns:
        `[classes, classes]` int64 array; rows are the right labels.
    """
    counts = np.zeros((classes, classes), "int64")
    np.add.at(counts, (truth, found), 1)
    return counts


def draw_confusion(counts, names):
    """Picture of a confusion matrix, each row relative to its sum.

    Args:
        counts: `[classes, classes]` int; rows are the right labels.
        names: sequence of str.

    Returns:
        `[height, width, 4]` uint8 array.
    """
    size = 3 + 0.4 * len(names)
    figure = new_figure((size + 1, size))
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.6 else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("found")
    axes.set_ylabel("right")
    figure.colorbar(image, ax=axes, label="share of the row")
    return figure_array(figure)


def draw_layer_weights(weights):
    """Picture of how much each hidden state of the encoder counts.

    Args:
        weights: `[layers]` float, summing to 1.

    Returns:
        `[height, width, 4]` uint8 array.
    """
    figure = new_figure((2 + 0.35 * len(weights), 3))
    axes = figure.subplots()
    axes.bar(range(len(weights)), weights, color="#4c566a")
    axes.axhline(1 / len(weights), color="#d55e00", linewidth=1)
    axes.set_xticks(range(len(weights)))
    axes.set_xlabel("hidden state (0 is the transformer's input)")
    axes.set_ylabel("weight")
    return figure_array(figure)


def text_table(references, texts):
    """Right and found texts side by side, in Markdown.

    Args:
        references: list of str.
        texts: list of str of the same length.

    Returns:
        str.
    """
    rows = [f"| {right} | {found} |" for right, found in zip(references, texts, strict=True)]
    return "\n".join(["| right | found |", "|---|---|", *rows])


def write_hyperparameters(log_dir, values, measures):
    """Tell TensorBoard's HParams what a run was given and what came of it.

    Args:
        log_dir: path of the run's log.
        values: dict of numbers and str.
        measures: dict of floats.
    """
    with tf.summary.create_file_writer(str(log_dir)).as_default(step=0):
        hparams.hparams({name: value for name, value in values.items() if value is not None})
        for name, value in measures.items():
            tf.summary.scalar(f"hparams/{name}", value)
