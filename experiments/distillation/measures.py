"""Loss and alignment measures of a split, before, during and after a distillation."""

import dataclasses

import keras

from pad_keras import callbacks


@dataclasses.dataclass
class Split:
    """A part of a corpus that is measured.

    Args:
        utterances: list of `Utterance`, in the order of the batches.
        batches: `tf.data.Dataset`, of waveforms or of a front end's frames.
        waveforms: `tf.data.Dataset` of the same batches, of waveforms.
    """

    utterances: list
    batches: object
    waveforms: object


def measure(distiller, split):
    """Loss and alignment measures of a split.

    Args:
        distiller: `AlignmentDistiller`, compiled.
        split: `Split`.

    Returns:
        Dict of floats.
    """
    evaluation = callbacks.AlignmentEvaluation(
        split.batches, split.utterances, distiller.teacher.tokenizer
    )
    losses = distiller.evaluate(split.batches, verbose=0, return_dict=True)
    return {name: float(v) for name, v in {**losses, **evaluation.evaluate(distiller)}.items()}


class UntrainedMeasures(keras.callbacks.Callback):
    """Measures the student before its first step; a resumed run keeps what the first one saw.

    Args:
        split: `Split`, the validation set.
    """

    def __init__(self, split):
        super().__init__()
        self.split = split
        self.measures = {}

    def on_train_begin(self, logs=None):
        """Measure once."""
        if not self.measures:
            measured = measure(self.model, self.split)
            self.measures = {f"val_{name}": value for name, value in measured.items()}

    def get_state(self):
        """What a checkpoint keeps."""
        return self.measures

    def set_state(self, state):
        """Take back what a checkpoint kept."""
        self.measures = state
