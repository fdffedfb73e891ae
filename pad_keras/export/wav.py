"""WAV bytes in the graph, by TensorFlow's own operations.

`tf.audio.decode_wav` is not used: it takes 16-bit PCM alone, and refuses files for what other
readers skip: chunks of an odd size, bytes behind the last chunk, WAVE_FORMAT_EXTENSIBLE.
"""

import functools

import tensorflow as tf

from pad_keras.export.checks import require
from pad_keras.export.resample import RATES, resample

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Writers that cannot seek leave the greatest size: then the end of the file is the end.
_UNKNOWN_SIZE = 0xFFFFFFFF
# Zeros read as chunks without contents; a file full of them must not be walked through.
_MOST_CHUNKS = 100


def from_wav(serve):
    """A signature behind a decoder of WAV files.

    Args:
        serve: `tf.function` of `(waveform, num_samples)`.

    Returns:
        `tf.function` of `contents` `[batch]` string.
    """

    @tf.function(input_signature=decode_wav.input_signature, autograph=False)
    def serve_wav(contents):
        return serve(*decode_wav(contents))

    return serve_wav


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="contents")], autograph=False)
def decode_wav(contents):
    """Decode WAV files to a padded batch at 16 kHz; channels are averaged.

    Args:
        contents: `[batch]` string, the bytes of files: PCM of 8, 16, 24 or 32 bits or float of 32
            or 64, at one of `pad_keras.export.resample.RATES`.

    Returns:
        `(waveform, num_samples)`: `[batch, samples]` float32, zero behind a file's end, and
        `[batch]` int32.

    Raises:
        tf.errors.InvalidArgumentError: if a file is none, cut short, or of another format.

    Example:

    ```python
    waveform, num_samples = decode_wav([open("speech.wav", "rb").read()])
    ```
    """
    waveforms = tf.map_fn(
        _decode, contents, fn_output_signature=tf.RaggedTensorSpec((None,), tf.float32, 0)
    )
    return waveforms.to_tensor(), tf.cast(waveforms.row_lengths(), tf.int32)


def _decode(contents):
    """Mono samples at 16 kHz of a file."""
    start, size, tag, channels, rate, frame_bytes, bits = _header(contents)
    # Both are less than 2 ** 16.
    decoder = tf.equal(tag + bits * 2**16, [tag + bits * 2**16 for tag, bits in _DECODERS])
    frames = size // tf.maximum(frame_bytes, 1)
    is_served = require(
        (tf.strings.length(contents) > 0, "The WAV file is empty."),
        (
            tf.equal(_text(contents, 0, 4), "RIFF") & tf.equal(_text(contents, 8, 4), "WAVE"),
            "The bytes are no WAV file, they do not begin with RIFF and WAVE; convert the file "
            "(ffmpeg -i FILE OUT.wav).",
        ),
        (start > 0, "The WAV file is cut short or broken: its format or its data is missing."),
        (
            start + size <= _length(contents),
            tf.strings.format(
                "The WAV file is shorter than its header says: {} of {} bytes.",
                (_length(contents) - start, size),
            ),
        ),
        (
            tf.reduce_any(decoder),
            tf.strings.format(
                "The format of the WAV file is {} with {} bits; only PCM (1) of 8, 16, 24 or 32 "
                "bits and float (3) of 32 or 64 are served: convert the file (ffmpeg -i FILE "
                "-c:a pcm_s16le OUT.wav).",
                (tag, bits),
            ),
        ),
        (
            (channels > 0) & tf.equal(frame_bytes, channels * bits // 8),
            tf.strings.format(
                "The header of the WAV file is broken: {} channels of {} bits in {} bytes.",
                (channels, bits, frame_bytes),
            ),
        ),
        (
            tf.reduce_any(tf.equal(rate, RATES)),
            tf.strings.format(
                f"The rate of the WAV file is {{}} Hz, not one of {', '.join(map(str, RATES))}; "
                "resample it (ffmpeg -i FILE -ar 16000 OUT.wav).",
                rate,
            ),
        ),
        (frames > 0, "The WAV file holds no samples."),
    )
    with tf.control_dependencies([is_served]):
        data = tf.strings.substr(contents, start, frames * frame_bytes)
    branches = [functools.partial(decode, data) for decode in _DECODERS.values()]
    samples = tf.switch_case(tf.argmax(decoder, output_type=tf.int32), branches)
    mono = tf.reduce_mean(tf.reshape(samples, tf.stack([-1, channels])), axis=1)
    return resample(mono, rate)


def _header(contents):
    """Where the samples lie and how to read them, int64 scalars; the first is 0 if unknown."""
    form, start, size = _chunks(contents)
    tag, channels, rate, _, frame_bytes, bits = (
        _integer(contents, form + at, count)
        for at, count in ((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2))
    )
    # Then the tag is the beginning of the subformat's identifier.
    tag = tf.where(tf.equal(tag, _EXTENSIBLE), _integer(contents, form + 24, 2), tag)
    size = tf.where(tf.equal(size, _UNKNOWN_SIZE), _length(contents) - start, size)
    return tf.where(form > 0, start, 0), size, tag, channels, rate, frame_bytes, bits


def _chunks(contents):
    """Positions of the format and of the data, 0 where there is none, and the data's size."""
    zero = tf.constant(0, tf.int64)

    def goes_on(position, form, start, size):
        return tf.equal(start, 0) & (position + 8 <= _length(contents))

    def step(position, form, start, size):
        name, length = _text(contents, position, 4), _integer(contents, position + 4, 4)
        is_data = tf.equal(name, "data")
        return (
            position + 8 + length + length % 2,
            tf.where(tf.equal(name, "fmt "), position + 8, form),
            tf.where(is_data, position + 8, start),
            tf.where(is_data, length, size),
        )

    beginning = (tf.constant(12, tf.int64), zero, zero, zero)
    _, *found = tf.while_loop(goes_on, step, beginning, maximum_iterations=_MOST_CHUNKS)
    return found


def _length(contents):
    """Bytes of a string, int64."""
    return tf.cast(tf.strings.length(contents), tf.int64)


def _text(contents, position, count):
    """Bytes at a position, fewer at the end."""
    position = tf.minimum(tf.cast(position, tf.int64), _length(contents))
    return tf.strings.substr(contents, position, tf.constant(count, tf.int64))


def _integer(contents, position, count):
    """Unsigned little-endian integer at a position as int64, with zeros past the end."""
    text = _text(contents, position, count)
    octets = tf.io.decode_raw(text, tf.uint8, fixed_length=count)
    return tf.reduce_sum(tf.cast(octets, tf.int64) * [256**power for power in range(count)])


def _signed(dtype):
    """Decoder of signed integers to full scale at 1."""
    return lambda data: tf.cast(tf.io.decode_raw(data, dtype), tf.float32) / -float(dtype.min)


def _unsigned_8(data):
    return (tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) - 128.0) / 128.0


def _signed_24(data):
    octets = tf.cast(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), tf.int32)
    values = tf.reduce_sum(octets * [1, 2**8, 2**16], axis=1)
    values -= tf.where(values < 2**23, 0, 2**24)
    return tf.cast(values, tf.float32) / 2.0**23


def _float(dtype):
    """Decoder of floats."""
    return lambda data: tf.cast(tf.io.decode_raw(data, dtype), tf.float32)


# By the format's tag and its bits.
_DECODERS = {
    (_PCM, 8): _unsigned_8,
    (_PCM, 16): _signed(tf.int16),
    (_PCM, 24): _signed_24,
    (_PCM, 32): _signed(tf.int32),
    (_FLOAT, 32): _float(tf.float32),
    (_FLOAT, 64): _float(tf.float64),
}
