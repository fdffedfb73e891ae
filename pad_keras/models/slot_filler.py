"""Slot filling: words and slots of an utterance as a sequence of characters and markers."""

import keras
from keras import ops

from pad_keras.gpus import has_accelerator
from pad_keras.layers import BidirectionalLSTM, FeatureSpecAugment
from pad_keras.losses.functional import ctc_loss
from pad_keras.models.slot_vocabulary import SlotVocabulary
from pad_keras.models.speech_task import SpeechTask


@keras.saving.register_keras_serializable(package="pad_keras")
class SlotFiller(SpeechTask):
    """Writes what was said with its slots, trained by CTC.

    SUPERB's head: a weighted sum of hidden states, SpecAugment of it in training, a linear
    projection, bidirectional LSTMs with dropout after each, a linear layer to the vocabulary.

    Args:
        backbone: `Wav2Vec2Backbone`.
        slots: sequence of slot names, without O.
        projection_dim: int.
        lstm_dim: int, of each direction.
        num_layers: int, LSTMs.
        dropout: float, rate after each LSTM.
        fine_tune: bool, whether the encoder is trained too.
        spec_augment: bool, whether training warps and masks the features (`FeatureSpecAugment`).
        **kwargs: `layers` of `SpeechTask`, and those of `keras.Model`.

    Call arguments:
        inputs: see `SpeechTask`.

    Returns:
        Dict of `logits` `[batch, frames, tokens]` and `mask` `[batch, frames]` bool.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.

    Example:

    ```python
    filler = SlotFiller(student, SlotVocabulary.read("SNIPS/slots.txt").slots)
    filler.compile()
    filler.fit(batches)  # of (inputs, {"ids": [batch, labels], "length": [batch]})
    filler.texts(filler.predict(batch))
    ```
    """

    def __init__(
        self,
        backbone,
        slots,
        projection_dim=1024,
        lstm_dim=1024,
        num_layers=2,
        dropout=0.2,
        fine_tune=False,
        spec_augment=True,
        **kwargs,
    ):
        super().__init__(backbone, fine_tune, **kwargs)
        self.vocabulary = SlotVocabulary(slots)
        self.projection_dim = projection_dim
        self.lstm_dim = lstm_dim
        self.num_layers = num_layers
        self.dropout = dropout
        self.spec_augment = spec_augment
        policy = self.dtype_policy
        self.augmentation = None
        if spec_augment:
            self.augmentation = FeatureSpecAugment(dtype=policy, name="augmentation")
        self.projection = keras.layers.Dense(projection_dim, dtype=policy, name="projection")
        self.projection.build((None, None, self.hidden_dim))
        self.recurrent, self.dropouts = [], []
        width = projection_dim
        for index in range(num_layers):
            layer = BidirectionalLSTM(lstm_dim, dtype=policy, name=f"lstm_{index}")
            layer.build((None, None, width))
            self.recurrent.append(layer)
            self.dropouts.append(
                keras.layers.Dropout(dropout, dtype=policy, name=f"dropout_{index}")
            )
            width = 2 * lstm_dim
        self.classifier = keras.layers.Dense(len(self.vocabulary), dtype=policy, name="classifier")
        self.classifier.build((None, None, width))
        self.built = True

    def call(self, inputs, training=None):
        """Compute the logits; see the class."""
        features, mask = self.features(inputs, training)
        if self.spec_augment:
            features = self.augmentation(features, mask=mask, training=training)
        x = self.projection(features)
        for lstm, dropout in zip(self.recurrent, self.dropouts, strict=True):
            x = dropout(lstm(x, padding_mask=mask), training=training)
        return {"logits": self.classifier(x), "mask": mask}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """CTC; see `pad_keras.losses.functional.ctc_loss`.

        Args:
            x: dict of a batch; not used.
            y: dict of `ids` `[batch, labels]` and `length` `[batch]`.
            y_pred: dict of `logits` and `mask`.
            sample_weight: must be `None`.
            training: bool; not used.

        Returns:
            Scalar float32.

        Raises:
            ValueError: if `sample_weight` is given.
        """
        if sample_weight is not None:
            raise ValueError("SlotFiller takes no `sample_weight`.")
        return ctc_loss(
            y_pred["logits"],
            y_pred["mask"],
            y["ids"],
            y["length"],
            tensorflow_kernel=self._takes_tensorflow_kernel(),
        )

    def _takes_tensorflow_kernel(self):
        """Whether steps run on TensorFlow's own kernels, and those on a CPU."""
        return keras.backend.backend() == "tensorflow" and not (
            self.jit_compile or has_accelerator()
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The loss alone; texts are measured outside of the graph, by `SlotTypeF1`."""
        return self.get_metrics_result()

    def texts(self, outputs):
        """Texts with markers of a batch's outputs: the best token of each frame, collapsed.

        Args:
            outputs: dict of `logits` and `mask`, as a call returns it.

        Returns:
            List of str, such as `"PLAY B-artist ADELE E-artist"`.
        """
        best = ops.convert_to_numpy(ops.argmax(outputs["logits"], axis=-1))
        masks = ops.convert_to_numpy(outputs["mask"]).astype("bool")
        rows = zip(best, masks, strict=True)
        return [self.vocabulary.decode_frames(row[mask]) for row, mask in rows]

    def get_config(self):
        """Arguments that rebuild this model."""
        return {
            **super().get_config(),
            "slots": list(self.vocabulary.slots),
            "projection_dim": self.projection_dim,
            "lstm_dim": self.lstm_dim,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "spec_augment": self.spec_augment,
        }
