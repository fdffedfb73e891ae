"""The model that moves a text teacher's knowledge into a speech student, by `fit`."""

import keras
from keras import ops

from pad_keras.models.frozen_parts import FrozenParts
from pad_keras.models.shared_batches import SharedBatches


@keras.saving.register_keras_serializable(package="pad_keras")
class AlignmentDistiller(FrozenParts, SharedBatches, keras.distillation.Distiller):
    """Trains a speech encoder so that its units align with a frozen text encoder's.

    The student's structure never changes: where its width differs from the teacher's, a linear
    projection that exists only here closes the gap. The teacher gets no gradient and is not
    called at all on batches that carry its cached units.

    Args:
        teacher: `TextTeacher`.
        student: `Wav2Vec2Backbone`, or any model with its inputs and outputs.
        distillation_losses: an alignment loss of `pad_keras.losses`, or a list of them (joint
            global and local alignment).
        distillation_loss_weights: list of floats, one a loss. Defaults to 1 each.
        projection_dim: int, width of the teacher's units. Defaults to the teacher's
            `hidden_dim`.
        name: str.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: dict with `speech` (the student's inputs, or the frames of its frozen front end,
            see `FrontEnd`) and, to compute a loss, `text` (the teacher's inputs) or `text_units`
            (its cached units); `pad_keras.data.pipeline` makes such batches.

    Returns:
        The student's units: `embeddings` `[batch, frames, dim]`, `significance`, `mask`
        `[batch, frames]`.

    Raises:
        ValueError: if two losses have one name, or a batch lacks text.

    Reference:
        PAD (arXiv 2303.03600).

    Example:

    ```python
    distiller = AlignmentDistiller(
        teacher=TextTeacher.from_preset("minilm"),
        student=Wav2Vec2Backbone.from_preset("mini"),
        distillation_losses=SpanAlignment(),
    )
    distiller.compile(optimizer=MonitoredAdamW(1e-4, global_clipnorm=1.0))
    distiller.fit(pipeline(utterances, 8, text=cache, shuffle=True))
    distiller.student.save_to_preset("distilled")
    ```
    """

    def __init__(
        self,
        teacher,
        student,
        distillation_losses,
        distillation_loss_weights=None,
        projection_dim=None,
        name="alignment_distiller",
        **kwargs,
    ):
        if not isinstance(distillation_losses, list | tuple):
            distillation_losses = [distillation_losses]
        if not distillation_losses:
            raise ValueError("`distillation_losses` must hold a loss, got none.")
        names = [loss.name for loss in distillation_losses]
        if len(set(names)) < len(names):
            raise ValueError(
                f"`distillation_losses` must differ in name, got {names}; give each `name=`."
            )
        super().__init__(
            teacher,
            student,
            distillation_losses,
            distillation_loss_weights,
            student_loss_weight=0.0,
            name=name,
            # Not to round the waveform; each part casts what it takes.
            autocast=False,
            **kwargs,
        )
        student_dim = student.output["sequence_output"].shape[-1]
        self.projection_dim = projection_dim or teacher.hidden_dim
        self.projection = None
        if self.projection_dim != student_dim:
            self.projection = keras.layers.Dense(
                self.projection_dim, dtype=self.dtype_policy, name="projection"
            )
            self.projection.build((None, None, student_dim))
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    def frozen_parts(self):
        """The teacher."""
        return [self.teacher] if hasattr(self, "teacher") else []

    @property
    def metrics(self):
        """The loss and its parts; the base class' trackers would only repeat them."""
        repeated = (
            self.student_loss_tracker,
            self.distillation_loss_tracker,
            self.total_loss_tracker,
        )
        return [m for m in super().metrics if not any(m is other for other in repeated)]

    def compile(self, optimizer="adam", loss=None, metrics=None, **kwargs):
        """Configure training.

        Args:
            optimizer: a Keras optimizer.
            loss: must be `None`; the losses are the constructor's.
            metrics: must be `None`.
            **kwargs: of `keras.Model.compile`, such as `jit_compile`.

        Raises:
            ValueError: if `loss` or `metrics` is given.
        """
        if loss is not None or metrics is not None:
            raise ValueError(
                "AlignmentDistiller takes its losses in the constructor (`distillation_losses`); "
                f"compile got loss={loss!r} and metrics={metrics!r}."
            )
        # Not the base class' compile: that one insists on a supervised loss of the student.
        keras.Model.compile(self, optimizer=optimizer, **kwargs)

    def call(self, inputs, training=None):
        """Compute the student's units; see the class."""
        return self.student_units(inputs["speech"], training=training)

    def student_units(self, speech, training=False):
        """Units of speech.

        Args:
            speech: dict of the student's inputs; or of `hidden_states`
                `[batch, 1, frames, conv_filters[-1]]`, the frames of its front end, and `mask`
                `[batch, frames]`.
            training: bool.

        Returns:
            Dict of `embeddings`, `significance` and `mask`.
        """
        if "hidden_states" in speech:
            frames, mask = speech["hidden_states"][:, 0], ops.cast(speech["mask"], "bool")
            outputs = self.student.contextualize(frames, mask, training=training)
        else:
            outputs = self.student(speech, training=training)
        embeddings = outputs["sequence_output"]
        if self.projection is not None:
            embeddings = self.projection(embeddings)
        return {
            "embeddings": embeddings,
            "significance": outputs["significance"],
            "mask": outputs["mask"],
        }

    def teacher_units(self, inputs):
        """Units of text, cached or computed; constants to the optimizer.

        Args:
            inputs: dict of a batch, with `text_units` or `text`.

        Returns:
            Dict of `embeddings`, `significance`, `mask`, `cls` and perhaps `idf`.

        Raises:
            ValueError: if the batch has neither.
        """
        if "text_units" in inputs:
            units = keras.tree.map_structure(ops.convert_to_tensor, inputs["text_units"])
        elif "text" in inputs:
            units = self.teacher(inputs["text"], training=False)
        else:
            raise ValueError(
                f"A batch needs 'text' or 'text_units' beside 'speech', got {sorted(inputs)}. "
                "Pass `text=` to pad_keras.data.pipeline."
            )
        return {
            key: value if key == "mask" else ops.stop_gradient(value)
            for key, value in units.items()
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Weighted sum of the alignment losses; keeps each part's mean for the logs.

        Args:
            x: dict of a batch.
            y: ignored.
            y_pred: the student's units. Computed if not given.
            sample_weight: ignored.
            training: bool.

        Returns:
            Scalar float32.
        """
        if y_pred is None:
            y_pred = self(x, training=training)
        teacher_units = self.teacher_units(x)
        total = 0.0
        for loss, weight, tracker in zip(
            self.distillation_losses,
            self.distillation_loss_weights,
            self.loss_trackers,
            strict=True,
        ):
            loss.validate_outputs(teacher_units, y_pred)
            value = loss.compute_loss(teacher_units, y_pred)
            tracker.update_state(value, sample_weight=ops.shape(y_pred["mask"])[0])
            total = total + weight * value
        return total

    def _inputs_of_loss(self, x):
        return {name: part for name, part in x.items() if name != "speech"}

    def get_config(self):
        """Arguments that rebuild this model."""
        config = super().get_config()
        del config["student_loss_weight"]
        return {**config, "projection_dim": self.projection_dim}
