"""SavedModels that plain TensorFlow loads: no Keras, no pad_keras, no tensorflow-io."""

import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from pad_keras.export.encoder import encode_function, encoder_signatures, of_dict
from pad_keras.export.heads import label_signature, task_signature
from pad_keras.export.wav import from_wav
from pad_keras.files import replaced_folder
from pad_keras.models import SlotFiller, UtteranceClassifier, Wav2Vec2Backbone


def export_saved_model(model, path, overwrite=False):
    r"""Write a model as a SavedModel that takes raw audio of any length.

    Signatures; the first two take `waveform` `[batch, samples]` float32 at 16 kHz and `num_samples`
    `[batch]` int32, the lengths without padding:

    - `serving_default` of an encoder: `sequence_output` `[batch, frames, dim]`, `significance`
      and `mask` `[batch, frames]`. Of an `UtteranceClassifier`, for each group of labels, the
      best one under the group's name, `[batch]` string, and `<group>_probabilities`
      `[batch, labels]`. Of a `SlotFiller`, `[batch]` strings `words` (what was said), `slots`
      (`artist: ADELE; playlist: LIST`) and `text` (words with markers), and `confidence`, the
      mean probability of each frame's best token.
    - `embed`: `embeddings` `[batch, frames, dim]`, `significance` and `mask`.
    - `serve_wav` and `embed_wav`: the same of `contents` `[batch]` string, the bytes of WAV files
      (PCM or float at one of `pad_keras.export.resample.RATES`; channels are averaged).
    - `labels` of an `UtteranceClassifier`, without input: the names of each group's labels.

    An utterance gives the same alone and in a padded batch. Input that cannot be served (too
    short, NaN, no audio, lengths that do not fit) raises `tf.errors.InvalidArgumentError`, and
    the next call works. Weights trained on JAX or torch are exported by a process of their own
    that runs TensorFlow.

    All but `labels` are also functions of the loaded object, of one argument, so that
    `keras.layers.TFSMLayer` takes them: a dict of `waveform` and `num_samples`, or `contents`.

    Args:
        model: `Wav2Vec2Backbone`, `UtteranceClassifier` or `SlotFiller`.
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
    pad_keras.export_saved_model(classifier, "saved_models/intents")
    serve = tf.saved_model.load("saved_models/intents").signatures["serve_wav"]
    serve(contents=tf.constant([open("speech.wav", "rb").read()]))["action"]

    layer = keras.layers.TFSMLayer("saved_models/intents", call_endpoint="serving_default")
    layer({"waveform": waveform, "num_samples": num_samples})["action"]
    ```

    From the command line; NumPy's strings lose zeros at their end, which a byte behind the WAV
    file prevents:

    ```sh
    saved_model_cli show --dir saved_models/intents --all
    saved_model_cli run --dir saved_models/intents --tag_set serve \
        --signature_def serving_default --inputs "waveform=waveform.npy;num_samples=lengths.npy"
    python -c "import numpy; numpy.save('wav', [open('speech.wav', 'rb').read() + b'.'])"
    saved_model_cli run --dir saved_models/intents --tag_set serve \
        --signature_def serve_wav --inputs contents=wav.npy
    ```
    """
    path = pathlib.Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"There is something at {str(path)!r} already; give another path or overwrite=True."
        )
    if not isinstance(model, Wav2Vec2Backbone | UtteranceClassifier | SlotFiller):
        raise TypeError(
            "`model` must be a Wav2Vec2Backbone, an UtteranceClassifier or a SlotFiller, got "
            f"{type(model).__name__}. Of an AlignmentDistiller export the `student`."
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
    module.weights = [variable.value for variable in model.weights]
    is_encoder = isinstance(model, Wav2Vec2Backbone)
    encode = encode_function(model if is_encoder else model.backbone)
    signatures = encoder_signatures(encode)
    if not is_encoder:
        signatures["serving_default"] = task_signature(model, encode)
    for name in ("serving_default", "embed"):
        setattr(module, name, of_dict(signatures[name]))
    for name, below in (("serve_wav", "serving_default"), ("embed_wav", "embed")):
        signatures[name] = from_wav(signatures[below])
        setattr(module, name, signatures[name])
    if isinstance(model, UtteranceClassifier):
        signatures["labels"] = label_signature(model)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _export_by_tensorflow(model, path):
    """Hand the weights to a process that runs Keras on TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"
        model.save(file)
        result = subprocess.run(
            [sys.executable, "-m", "pad_keras.export", str(file), str(path.absolute())],
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
