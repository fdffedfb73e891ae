"""TensorBoard pictures of what the alignment does, and the audio beside them."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pad_keras.callbacks.alignments import alignments
from pad_keras.callbacks.figures import figure_array, new_figure
from pad_keras.metrics.alignment import FRAME_HOP, FRAME_LENGTH

_SAMPLE_RATE = 16_000
_LINE, _ACCENT, _SPAN = "#4c566a", "#d55e00", "#ffffff"


class AlignmentSummary(keras.callbacks.Callback):
    """Draws waveform, significance, anchors, similarity and chosen spans of some utterances.

    Args:
        log_dir: path.
        batch: dict, a batch of `pad_keras.data.pipeline`.
        utterances: list of `Utterance`, those of the batch, in order.
        tokenizer: the teacher's, for the names of the text units.
        max_utterances: int.
        every: int, in epochs. The untrained state is drawn as well.

    Raises:
        ValueError: if the batch has no waveforms.
        ImportError: when drawing, if matplotlib is not installed.

    Example:

    ```python
    pictures = AlignmentSummary("runs/a", next(iter(valid)), ordered[:8], teacher.tokenizer)
    distiller.fit(train, callbacks=[pictures])
    ```
    """

    def __init__(self, log_dir, batch, utterances, tokenizer, max_utterances=4, every=1):
        super().__init__()
        if "waveform" not in batch["speech"]:
            raise ValueError(
                "AlignmentSummary draws waveforms, and the batch's 'speech' has "
                f"{sorted(batch['speech'])}; make it by a `pipeline` without `states`."
            )
        self.log_dir = str(log_dir)
        self.batch = keras.tree.map_structure(ops.convert_to_numpy, batch)
        self.utterances = utterances
        self.tokenizer = tokenizer
        self.max_utterances = max_utterances
        self.every = every
        self._writer = None
        self._has_begun = False

    def on_train_begin(self, logs=None):
        """Write the audio."""
        self._writer = tf.summary.create_file_writer(self.log_dir)
        with self._writer.as_default(step=0):
            for utterance, waveform in zip(self._shown(), self._waveforms(), strict=False):
                tf.summary.audio(f"alignment/{utterance.id}", waveform[None, :, None], _SAMPLE_RATE)
        self._has_begun = False

    def on_epoch_begin(self, epoch, logs=None):
        """Draw the state from which training starts; a resumed one is not untrained."""
        if not self._has_begun:
            self._draw(epoch)
        self._has_begun = True

    def on_epoch_end(self, epoch, logs=None):
        """Draw every few epochs."""
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs"):
            self._draw(epoch + 1)

    def on_train_end(self, logs=None):
        """Close the writer."""
        self._writer.close()

    def _shown(self):
        return self.utterances[: self.max_utterances]

    def _waveforms(self):
        speech = self.batch["speech"]
        pairs = zip(speech["waveform"], speech["padding_mask"], strict=True)
        return [waveform[np.asarray(valid, "bool")] for waveform, valid in pairs]

    def _draw(self, step):
        with self._writer.as_default(step=step):
            for uid, picture in self.pictures(self.model):
                tf.summary.image(f"alignment/{uid}", picture[None])
        self._writer.flush()

    def pictures(self, distiller):
        """Draw the utterances as a distiller aligns them now.

        Args:
            distiller: `pad_keras.models.AlignmentDistiller`, compiled.

        Yields:
            Tuple of an utterance's id and its picture, `[height, width, 4]` uint8; none of one
            without a frame.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        text_units = getattr(distiller.teacher, "text_units", "token")
        found = alignments(distiller, self.batch)
        for utterance, waveform, alignment in zip(
            self._shown(), self._waveforms(), found, strict=False
        ):
            if not alignment.similarity.size:
                continue
            names = unit_names(utterance.text, self.tokenizer, text_units)
            yield utterance.id, draw_alignment(waveform, alignment, names, utterance.words)


def unit_names(text, tokenizer, text_units="token"):
    """Names of the text units of a transcript.

    Args:
        text: str.
        tokenizer: the teacher's.
        text_units: `"token"` or `"word"`.

    Returns:
        List of str.
    """
    pieces = [tokenizer.id_to_token(int(piece)) for piece in tokenizer(text)]
    if text_units == "token":
        return pieces
    return "".join(p[2:] if p.startswith("##") else " " + p for p in pieces).split()


def draw_alignment(waveform, alignment, unit_names, words=(), size=(12, 7)):
    """Picture of one utterance's alignment.

    Above: the waveform, the significance of its frames, the anchors, and the times of words where
    known. Below: cosine of frames (time runs to the right, as above) and text units, each unit's
    best span framed; the more significant a unit, the bolder its frame.

    Args:
        waveform: `[samples]` float32 at 16 kHz.
        alignment: `pad_keras.callbacks.alignments.Alignment`.
        unit_names: list of str, names of the text units.
        words: sequence of `WordTime`.
        size: tuple, inches at 100 dots an inch.

    Returns:
        `[height, width, 4]` uint8 array.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure = new_figure(size)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    _draw_speech(top, waveform, alignment, words)
    image = _draw_similarity(below, alignment, unit_names)
    figure.colorbar(image, ax=below, label="cosine", pad=0.01)
    return figure_array(figure)


def _frame_centres(frames):
    return np.asarray(frames) * FRAME_HOP + FRAME_LENGTH / 2


def _draw_speech(axes, waveform, alignment, words):
    seconds = np.arange(len(waveform)) / _SAMPLE_RATE
    axes.plot(seconds, waveform, color=_LINE, linewidth=0.5)
    axes.set_ylabel("waveform")
    peak = max(np.abs(waveform).max(), 1e-6)
    axes.set_ylim(-1.1 * peak, 1.5 * peak)
    for word in words:
        axes.axvspan(word.start, word.end, color=_LINE, alpha=0.08, linewidth=0)
        middle = (word.start + word.end) / 2
        axes.text(middle, 1.3 * peak, word.word.lower(), ha="center", va="center", fontsize=8)
    significance = axes.twinx()
    frames = len(alignment.significance)
    # In multiples of the uniform weight: 1 is what no prior would give.
    relative = alignment.significance * frames
    significance.plot(_frame_centres(np.arange(frames)), relative, color=_ACCENT, linewidth=1.2)
    if len(alignment.anchors):
        significance.plot(
            _frame_centres(alignment.anchors),
            relative[alignment.anchors],
            linestyle="",
            marker="v",
            markersize=5,
            color=_ACCENT,
            markeredgecolor="black",
            markeredgewidth=0.5,
        )
    significance.set_ylabel("significance × frames", color=_ACCENT)
    significance.set_ylim(0, 1.25 * max(relative.max(), 1.0))


def _draw_similarity(axes, alignment, unit_names):
    from matplotlib.patches import Rectangle

    frames, units = alignment.similarity.shape
    image = axes.imshow(
        alignment.similarity.T,
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        extent=(0, frames * FRAME_HOP, units - 0.5, -0.5),
    )
    weights = alignment.text_significance / alignment.text_significance.max()
    for unit, (start, end) in enumerate(alignment.best):
        axes.add_patch(
            Rectangle(
                (start * FRAME_HOP, unit - 0.44),
                (end - start) * FRAME_HOP,
                0.88,
                fill=False,
                edgecolor=_SPAN,
                linewidth=1 + 2 * weights[unit],
                alpha=0.4 + 0.6 * weights[unit],
            )
        )
    axes.set_yticks(range(units), unit_names[:units])
    axes.set_xlabel("seconds")
    axes.set_xlim(0, frames * FRAME_HOP)
    return image
