"""Decoding of audio files in the TensorFlow graph: any rate and channels to mono at 16 kHz.

soundfile decodes by default: measured side by side it is faster than tensorflow-io (5 times for
FLAC, twice for WAV) and refuses broken files. tensorflow-io's kernels do not: on damaged bytes the
FLAC kernel may never return, and the Vorbis kernel may end the process. They are there for graphs
that must run without Python, on files known to be whole. soxr resamples what is not at the rate
wanted: tensorflow-io's resampler moves the signal by 4 to 10 samples.
"""

import functools
import os
import pathlib
import struct

import tensorflow as tf

from pad_keras import soundfile_decoder

SAMPLE_RATE = 16_000
DECODERS = ("soundfile", "tensorflow_io")
# What the graph decodes by itself, in the order of the branches of `_decode_in_graph`.
_FLAC_16, _FLAC_24, _WAV_16, _OTHER = range(4)
# One sample, to try the kernels: 16-bit PCM, one channel, 16 kHz.
_SILENT_WAV = struct.pack(
    "<4sI4s4sIHHIIHH4sIh",
    b"RIFF",
    38,
    b"WAVE",
    b"fmt ",
    16,
    1,
    1,
    16_000,
    32_000,
    2,
    16,
    b"data",
    2,
    0,
)


@functools.cache
def tensorflow_io_works():
    """Whether the kernels of tensorflow-io load (they do with TensorFlow 2.16 and 2.17).

    Returns:
        bool.
    """
    try:
        import tensorflow_io as tfio

        tfio.audio.decode_wav(_SILENT_WAV, dtype=tf.int16)
    except (ImportError, NotImplementedError, AttributeError):
        return False
    return True


def decode_audio(contents, sample_rate=SAMPLE_RATE, decoder="soundfile"):
    """Decode FLAC, WAV or Ogg (Vorbis, Opus) to a mono waveform at a given rate.

    Works eagerly and inside a `tf.data` graph. Channels are averaged. A file that is cut short
    is refused, never returned in part.

    Args:
        contents: the bytes of a file, as a scalar string tensor or `bytes`; a `str` or `Path` is
            the file's path and is read first.
        sample_rate: int, rate of the result in Hz.
        decoder: `"soundfile"`, or `"tensorflow_io"` to decode FLAC and plain WAV by kernels of
            the graph. The latter is for trusted files only: broken ones may hang it.

    Returns:
        `[samples]` float32 tensor, full scale at 1.

    Raises:
        FileNotFoundError: if a path names no file.
        ValueError: for an unknown `decoder`, or one that does not work here.
        tf.errors.InvalidArgumentError: if the contents are empty, broken, or of another format.

    Example:

    ```python
    waveform = decode_audio("speech.flac")
    dataset = paths.map(lambda path: decode_audio(tf.io.read_file(path)))
    ```
    """
    if isinstance(contents, str | pathlib.Path):
        if not os.path.isfile(contents):
            raise FileNotFoundError(f"No audio file at {str(contents)!r}.")
        contents = tf.io.read_file(os.fspath(contents))
    if decoder not in DECODERS:
        raise ValueError(f"`decoder` must be one of {DECODERS}, got {decoder!r}.")
    in_graph = decoder == "tensorflow_io"
    if in_graph and not tensorflow_io_works():
        raise ValueError(
            f"decoder='tensorflow_io' does not work with TensorFlow {tf.__version__} (it does with "
            "2.16 and 2.17, where the package is installed); use decoder='soundfile'."
        )
    return _decode(tf.convert_to_tensor(contents), tf.constant(sample_rate, tf.int64), in_graph)


# A graph even when called eagerly: one trace, not a hundred small operations.
@tf.function(autograph=False)
def _decode(contents, sample_rate, in_graph):
    # Decoders run beside the check unless told to wait, and would blame the format.
    checked = tf.debugging.assert_greater(
        tf.strings.length(contents), 0, "The audio file is empty."
    )
    with tf.control_dependencies([checked]):
        contents = tf.identity(contents)
    if in_graph:
        samples, rate = _decode_in_graph(contents)
    else:
        samples, rate = _decode_by_soundfile(contents)
    tf.debugging.assert_greater(tf.size(samples), 0, "The audio file holds no samples.")
    mono = tf.reduce_mean(samples, axis=1)
    mono = tf.cond(
        rate == sample_rate, lambda: mono, lambda: _resample_by_soxr(mono, rate, sample_rate)
    )
    tf.debugging.assert_greater(tf.size(mono), 0, "The audio file is shorter than a sample.")
    return mono


def _decode_in_graph(contents):
    """Samples [n, channels] float32 and the rate, int64."""
    kind, rate, frames = _read_header(contents)
    branches = {
        _FLAC_16: lambda: _decode_flac(contents, tf.int16),
        _FLAC_24: lambda: _decode_flac(contents, tf.int32),
        _WAV_16: lambda: _decode_wav(contents),
    }
    # tf.switch_case wants one signature of all branches: samples and rate.
    samples, rate = tf.switch_case(
        kind,
        {code: functools.partial(_with_rate, branch, rate) for code, branch in branches.items()},
        default=lambda: _decode_by_soundfile(contents),
    )
    complete = (
        (frames <= 0) | (kind == _OTHER) | (tf.cast(tf.shape(samples)[0], tf.int64) == frames)
    )
    tf.debugging.assert_equal(complete, True, "The audio file is shorter than its header says.")
    return samples, rate


def _with_rate(branch, rate):
    samples = branch()
    samples.set_shape((None, None))
    return samples, rate


def _read_header(contents):
    """Kind, rate and number of frames (0 if unknown) from the first bytes of a file."""
    head = _bytes(tf.strings.substr(contents, 0, 48), 48)

    def big(start, count):
        return _integer(head[start : start + count])

    def little(start, count):
        return _integer(tf.reverse(head[start : start + count], [0]))

    def says(start, text):
        return tf.reduce_all(head[start : start + len(text)] == list(text))

    # FLAC: the stream information is always the first block. 20 bits rate, 3 bits channels - 1,
    # 5 bits sample size - 1, 36 bits number of frames.
    is_flac = says(0, b"fLaC")
    bits = big(20, 2) // 16 % 32 + 1
    # WAV: only the plain layout, 16-bit PCM with the data chunk right behind the format.
    is_wav = says(0, b"RIFF") & says(8, b"WAVEfmt ") & (little(16, 4) == 16)
    is_wav &= (little(20, 2) == 1) & (little(34, 2) == 16) & says(36, b"data")
    is_wav &= little(40, 4) + 44 <= tf.cast(tf.strings.length(contents), tf.int64)
    flac = tf.where(bits == 16, _FLAC_16, tf.where(bits == 24, _FLAC_24, _OTHER))
    kind = tf.where(is_flac, flac, tf.where(is_wav, _WAV_16, _OTHER))
    rate = tf.where(is_flac, big(18, 3) // 16, little(24, 4))
    # Other files' rates are read by soundfile.
    rate = tf.where(kind == _OTHER, tf.constant(SAMPLE_RATE, tf.int64), rate)
    wav_frames = little(40, 4) // tf.maximum(little(32, 2), 1)
    frames = tf.where(is_flac, big(21, 5) % 2**36, tf.where(is_wav, wav_frames, 0))
    tf.debugging.assert_equal(
        soundfile_decoder.is_possible_rate(rate),
        True,
        "The audio file's sample rate is unreadable.",
    )
    return kind, rate, frames


def _bytes(text, length):
    """The first bytes of a string as int64, zeros past its end."""
    return tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=length), tf.int64)


def _integer(big_endian):
    """Value of int64 bytes, the most significant first."""
    count = big_endian.shape[0]
    return tf.reduce_sum(big_endian * [256**power for power in reversed(range(count))])


def _decode_flac(contents, dtype):
    import tensorflow_io as tfio

    # tensorflow-io shifts samples up to the dtype's width.
    samples = tfio.audio.decode_flac(contents, dtype=dtype)
    return tf.cast(samples, tf.float32) / -float(dtype.min)


def _decode_wav(contents):
    import tensorflow_io as tfio

    return tf.cast(tfio.audio.decode_wav(contents, dtype=tf.int16), tf.float32) / 32768.0


def _decode_by_soundfile(contents):
    samples, rate = tf.numpy_function(
        soundfile_decoder.decode, [contents], [tf.float32, tf.int64], stateful=False
    )
    samples.set_shape((None, None))
    rate.set_shape(())
    return samples, rate


def _resample_by_soxr(mono, rate, sample_rate):
    resampled = tf.numpy_function(
        soundfile_decoder.resample, [mono, rate, sample_rate], tf.float32, stateful=False
    )
    return tf.ensure_shape(resampled, (None,))


def diagnose(path):
    """Why a file cannot be decoded.

    Args:
        path: str.

    Returns:
        str, the reason; `None` if the file decodes.
    """
    if not os.path.isfile(path):
        return "there is no such file"
    try:
        decode_audio(path)
    except (tf.errors.OpError, ValueError) as error:
        text = str(error.message if isinstance(error, tf.errors.OpError) else error)
        return _first_sentence(text)
    return None


def _first_sentence(message):
    """The telling line of a TensorFlow error: without node names and tracebacks."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for line in lines:
        for opening in ("ValueError: ", "The audio file"):
            if opening in line:
                told = line[line.index(opening) :].removeprefix("ValueError: ")
                # What TensorFlow says of the condition that did not hold.
                return told.split("] [")[0]
    text = lines[0] if lines else "unknown error"
    return "the audio cannot be decoded: " + text.split("}} ")[-1]
