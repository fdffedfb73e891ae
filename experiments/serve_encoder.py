"""Ask an exported encoder about a WAV file; needs nothing but TensorFlow.

    python experiments/serve_encoder.py saved_models/quickstart-student speech.wav

Prints the shape of the frame embeddings and where the most significant frames are.
"""

import argparse
import json
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 50


def read_wav(path):
    """Read a WAV file of 16-bit PCM at 16 kHz; channels are averaged.

    Args:
        path: str.

    Returns:
        `[samples]` float32 tensor.

    Raises:
        SystemExit: naming the file, if it cannot be read or its rate is another.
    """
    try:
        samples, rate = tf.audio.decode_wav(tf.io.read_file(path))
    except tf.errors.OpError as error:
        raise SystemExit(f"{path}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        # TensorFlow's message quotes the first bytes as if they were text.
        raise SystemExit(f"{path}: no WAV file.") from error
    if rate != SAMPLE_RATE:
        raise SystemExit(f"{path}: {rate} Hz; resample the file to {SAMPLE_RATE} Hz.")
    return tf.reduce_mean(samples, axis=1)


def reason(error):
    """Why an exported model refuses its input.

    Args:
        error: `tf.errors.OpError`.

    Returns:
        str, without names of nodes and operations.
    """
    told = re.search(r"assertion failed: \[(.*)\]", error.message)
    return told[1] if told else error.message.split("}} ")[-1].split(" [Op:")[0]


def describe(folder, path, top=5):
    """Run an encoder's `embed` on a file.

    Args:
        folder: str, the SavedModel.
        path: str, the WAV file.
        top: int, how many frames to name.

    Returns:
        Dict of the embeddings' `shape`, their `mean_square` and the `seconds` of the most
        significant frames.
    """
    waveform = read_wav(path)
    embed = tf.saved_model.load(folder).signatures["embed"]
    outputs = embed(waveform=waveform[None], num_samples=tf.size(waveform)[None])
    embeddings, significance = outputs["embeddings"][0], outputs["significance"][0]
    frames = tf.sort(tf.math.top_k(significance, min(top, len(significance))).indices)
    return {
        "shape": embeddings.shape.as_list(),
        "mean_square": float(tf.reduce_mean(embeddings**2)),
        "seconds": [round(int(frame) / FRAMES_PER_SECOND, 2) for frame in frames],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model", help="folder that export_saved_model wrote")
    parser.add_argument("wav", help="WAV file of 16-bit PCM at 16 kHz")
    arguments = parser.parse_args()
    print(json.dumps(describe(arguments.saved_model, arguments.wav)))
