"""SavedModels that plain TensorFlow loads: no Keras, no pad_keras, no tensorflow-io."""

import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from pad_keras.folders import replaced_folder
from pad_keras.models import Wav2Vec2Backbone


def export_saved_model(model, path, overwrite=False):
    """Write a model as a SavedModel that takes raw audio of any length.

    Signatures of an encoder, both of `waveform` `[batch, samples]` float32 at 16 kHz and
    `num_samples` `[batch]` int32, the lengths without padding:

    - `serving_default`: `sequence_output` `[batch, frames, dim]`, `significance` and `mask`
      `[batch, frames]`;
    - `embed`: `embeddings` `[batch, frames, dim]`, `significance` and `mask`.

    An utterance gives the same alone and in a padded batch. Input that cannot be served (too
    short, NaN, lengths that do not fit) raises `tf.errors.InvalidArgumentError`, and the next
    call works. Weights trained on JAX or torch are exported by a process of their own that runs
    TensorFlow.

    Args:
        model: `Wav2Vec2Backbone`.
        path: path of the folder to write; it appears when it is complete.
        overwrite: bool, whether an existing folder is replaced.

    Returns:
        `pathlib.Path`, the folder.

    Raises:
        FileExistsError: if there is something at `path` and `overwrite` is false.
        TypeError: for a model that is not exportable.
        RuntimeError: if the process that exports for JAX or torch fails, with its last words.

    Example:

    ```python
    pad_keras.export_saved_model(distiller.student, "saved_models/student")
    encode = tf.saved_model.load("saved_models/student").signatures["serving_default"]
    encode(waveform=tf.zeros((1, 16000)), num_samples=tf.constant([16000]))
    ```
    """
    path = pathlib.Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"There is something at {str(path)!r} already; give another path or overwrite=True."
        )
    if not isinstance(model, Wav2Vec2Backbone):
        raise TypeError(
            f"`model` must be a Wav2Vec2Backbone, got {type(model).__name__}. Of an "
            "AlignmentDistiller export the `student`."
        )
    if keras.backend.backend() == "tensorflow":
        with replaced_folder(path) as partial:
            _write(model, partial)
    else:
        _export_by_tensorflow(model, path)
    return path


def _write(model, folder):
    module = tf.Module()
    # The bare variables: with the model itself, Keras' own functions would be saved too.
    module.weights = [variable.value for variable in model.variables]
    module.encode = encode_function(model)
    tf.saved_model.save(module, str(folder), signatures=encoder_signatures(module.encode))


def encode_function(backbone):
    """Function of `(waveform, num_samples)` that checks its input and runs an encoder.

    Args:
        backbone: `Wav2Vec2Backbone`.

    Returns:
        `tf.function` that returns the backbone's outputs as a dict, floats in float32.
    """
    least = least_samples(backbone)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.float32, name="waveform"),
            tf.TensorSpec((None,), tf.int32, name="num_samples"),
        ],
        autograph=False,
    )
    def encode(waveform, num_samples):
        with tf.control_dependencies(_checks(waveform, num_samples, least)):
            is_real = tf.sequence_mask(num_samples, tf.shape(waveform)[1])
        # What lies in the padding, NaN or speech, must not matter.
        waveform = tf.where(is_real, waveform, 0.0)
        outputs = backbone({"waveform": waveform, "padding_mask": is_real}, training=False)
        return {
            name: tf.cast(value, tf.float32) if value.dtype.is_floating else value
            for name, value in outputs.items()
        }

    return encode


def encoder_signatures(encode):
    """Signatures of a bare encoder.

    Args:
        encode: function, as `encode_function` makes it.

    Returns:
        Dict of `tf.function` by signature name.
    """

    @tf.function(input_signature=encode.input_signature, autograph=False)
    def serve(waveform, num_samples):
        outputs = encode(waveform, num_samples)
        return {name: outputs[name] for name in ("sequence_output", "significance", "mask")}

    @tf.function(input_signature=encode.input_signature, autograph=False)
    def embed(waveform, num_samples):
        outputs = encode(waveform, num_samples)
        return {
            "embeddings": outputs["sequence_output"],
            "significance": outputs["significance"],
            "mask": outputs["mask"],
        }

    return {"serving_default": serve, "embed": embed}


def least_samples(backbone):
    """Samples that the first frame of an encoder looks at.

    Args:
        backbone: `Wav2Vec2Backbone`.

    Returns:
        int.
    """
    samples = 1
    pairs = zip(backbone.conv_kernels, backbone.conv_strides, strict=True)
    for kernel, stride in reversed(list(pairs)):
        samples = (samples - 1) * stride + kernel
    return samples


def _checks(waveform, num_samples, least):
    """Assertions on the input, as operations."""
    batch, width = tf.shape(waveform)[0], tf.shape(waveform)[1]
    # Compared with the smaller of the two: broadcasting must not fail before the check does.
    fits = tf.equal(batch, tf.size(num_samples))
    is_real = tf.sequence_mask(num_samples, width)[:batch]
    numbers = tf.cond(
        fits, lambda: tf.where(is_real, waveform, 0.0), lambda: tf.zeros_like(waveform)
    )
    return [
        tf.debugging.Assert(batch > 0, ["The batch is empty."]),
        tf.debugging.Assert(
            fits, ["num_samples must hold one length an utterance, got", tf.shape(num_samples)]
        ),
        tf.debugging.Assert(
            tf.reduce_all(num_samples >= least),
            [f"Too short: an utterance needs {least} samples, got num_samples", num_samples],
        ),
        tf.debugging.Assert(
            tf.reduce_all(num_samples <= width),
            ["num_samples is greater than the waveform's width", width, ", got", num_samples],
        ),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(numbers)), ["The waveform holds NaN or infinity."]
        ),
    ]


def _export_by_tensorflow(model, path):
    """Hand the weights to a process that runs Keras on TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_to_preset(folder)
        result = subprocess.run(
            [sys.executable, "-m", "pad_keras.export", folder, str(path.absolute())],
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        raise RuntimeError(f"The export to {str(path)!r} failed:\n{result.stderr[-2000:]}")


if __name__ == "__main__":
    _, _preset, _path = sys.argv
    export_saved_model(Wav2Vec2Backbone.from_preset(_preset), _path, overwrite=True)
