"""WAV bytes in the graph, by TensorFlow's own operations."""

import tensorflow as tf

from pad_keras.data import SAMPLE_RATE

_HEADER_BYTES = 44


def from_wav(serve):
    """The signature `serve_wav`: another one behind a decoder of WAV files.

    Args:
        serve: `tf.function` of `(waveform, num_samples)`.

    Returns:
        `tf.function` of `contents` `[batch]` string.
    """

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.string, name="contents")], autograph=False
    )
    def serve_wav(contents):
        waveforms = tf.map_fn(
            _decode, contents, fn_output_signature=tf.RaggedTensorSpec((None,), tf.float32, 0)
        )
        return serve(waveforms.to_tensor(), tf.cast(waveforms.row_lengths(), tf.int32))

    return serve_wav


def _decode(contents):
    """Mono samples of a file of 16-bit PCM at 16 kHz."""
    is_there = tf.debugging.Assert(
        tf.strings.length(contents) > _HEADER_BYTES, ["The WAV file is empty or cut short."]
    )
    with tf.control_dependencies([is_there]):
        samples, rate = tf.audio.decode_wav(tf.identity(contents))
    is_right = tf.debugging.Assert(
        tf.equal(rate, SAMPLE_RATE),
        ["The WAV file's rate must be", SAMPLE_RATE, "Hz, got", rate, "; resample it."],
    )
    with tf.control_dependencies([is_right]):
        return tf.reduce_mean(samples, axis=1)
