"""The file of one utterance's hidden states: a raw array and, behind it, its number of frames.

The array is `[layers + 1, frames, dim]`, little-endian; the number is an int32. It tells a file
that was cut short, which without it would now and then pass for one of fewer frames.
"""

import os

import numpy as np
import tensorflow as tf

from pad_keras.files import replaced_file

TRAILER_BYTES = 4


def write_states(path, states):
    """Write a file, whole or not at all.

    Args:
        path: `pathlib.Path`; its parent is created.
        states: `[layers + 1, frames, dim]` array in the dtype to write.
    """
    # Two processes may fill one folder.
    with replaced_file(path, shared=True) as file:
        file.write(states.astype(states.dtype.newbyteorder("<")).tobytes())
        file.write(np.array(states.shape[1], "<i4").tobytes())


def read_states(path, layout):
    """Read a file in the tf.data graph.

    Args:
        path: scalar string tensor.
        layout: `StateLayout`.

    Returns:
        `[layers + 1, frames, dim]` tensor in the layout's dtype.

    Raises:
        tf.errors.OpError: if the file is missing or not whole.
    """
    contents = tf.io.read_file(path)
    end = tf.strings.length(contents) - TRAILER_BYTES
    frames = tf.io.decode_raw(tf.strings.substr(contents, end, TRAILER_BYTES), tf.int32)[0]
    values = tf.io.decode_raw(contents, tf.as_dtype(layout.dtype))
    values = values[: -(TRAILER_BYTES // np.dtype(layout.dtype).itemsize)]
    return tf.reshape(values, (layout.layers + 1, frames, layout.dim))


def why_unreadable(path, layout):
    """Why a file cannot be read; of its contents only the length and the end are looked at.

    Args:
        path: path.
        layout: `StateLayout`.

    Returns:
        str, the reason; `None` if the file is whole.
    """
    if not os.path.isfile(path):
        return "there is no such file"
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TRAILER_BYTES))
        frames = int.from_bytes(file.read(), "little", signed=True)
    if frames < 1 or size != layout.array_bytes(frames) + TRAILER_BYTES:
        return f"the file is cut short or damaged ({size} bytes)"
    return None
