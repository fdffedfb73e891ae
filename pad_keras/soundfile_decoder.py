"""Audio decoding and resampling outside of TensorFlow, by soundfile and soxr."""

import io

import numpy as np
import soundfile
import soxr

LEAST_RATE, GREATEST_RATE = 1_000, 768_000
_BLOCK = 2**16
# Bytes of the header of an Ogg page, up to the number of its segments; where its flags stand, and
# the flag of the last page of a stream.
_OGG_HEADER, _OGG_FLAGS, _OGG_LAST = 27, 5, 4


def is_possible_rate(rate):
    """Whether a sample rate in Hz can be one.

    Args:
        rate: number or tensor.

    Returns:
        bool or boolean tensor.
    """
    return (rate >= LEAST_RATE) & (rate <= GREATEST_RATE)


def decode(contents):
    """Decode the bytes of an audio file.

    Args:
        contents: bytes.

    Returns:
        `(samples, rate)`: `[samples, channels]` float32 array and int64 rate in Hz.

    Raises:
        ValueError: if the contents are no audio, cut short, or hold what is no number.
    """
    _check_complete(contents)
    try:
        with soundfile.SoundFile(io.BytesIO(contents)) as file:
            frames, rate = file.frames, file.samplerate
            samples = _read(file)
    except (soundfile.SoundFileError, RuntimeError) as error:
        reason = getattr(error, "error_string", error)
        raise ValueError(f"The audio file is not FLAC, WAV or Ogg, or broken: {reason}") from error
    if not is_possible_rate(rate):
        raise ValueError(f"The audio file's sample rate is unreadable: {rate} Hz.")
    if len(samples) < frames:
        raise ValueError(
            f"The audio file is shorter than its header says: {len(samples)} of {frames} frames."
        )
    if not np.isfinite(samples).all():
        raise ValueError("The audio file holds samples that are NaN or infinite.")
    return samples, np.int64(rate)


def _read(file):
    """Samples `[samples, channels]` of an open file.

    Block by block: a broken header may claim more frames than there is memory for.
    """
    blocks = [file.read(_BLOCK, dtype="float32", always_2d=True)]
    while len(blocks[-1]) == _BLOCK:
        blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]


def _check_complete(contents):
    """Refuse a file that is cut short where soundfile would return a part."""
    if contents[:4] == b"RIFF":
        _check_data_chunk(contents)
    elif contents[:4] == b"OggS":
        _check_last_page(contents)


def _check_data_chunk(contents):
    """Refuse a RIFF file whose data chunk runs past the end."""
    position = 12
    while position + 8 <= len(contents):
        name = contents[position : position + 4]
        size = int.from_bytes(contents[position + 4 : position + 8], "little")
        # Writers that cannot seek leave the greatest size: then the end of the file is the end.
        if name == b"data" and size != 0xFFFFFFFF and position + 8 + size > len(contents):
            raise ValueError(
                f"The audio file is shorter than its header says: {len(contents) - position - 8} "
                f"of {size} bytes."
            )
        position += 8 + size + size % 2


def _check_last_page(contents):
    """Refuse an Ogg file whose last page is not whole, or not the end of a stream (RFC 3533)."""
    page = contents[contents.rfind(b"OggS") :]
    # A header that is cut does not tell; the most there may be are too many for what is left.
    segments = page[_OGG_HEADER - 1] if len(page) >= _OGG_HEADER else 255
    size = _OGG_HEADER + segments + sum(page[_OGG_HEADER : _OGG_HEADER + segments])
    if size > len(page) or not page[_OGG_FLAGS] & _OGG_LAST:
        raise ValueError("The audio file is cut short: its last Ogg page does not end the stream.")


def resample(mono, rate, target):
    """Resample a waveform.

    Args:
        mono: `[samples]` float32 array.
        rate: int, its rate in Hz.
        target: int, the rate wanted in Hz.

    Returns:
        `[samples]` float32 array.
    """
    return soxr.resample(mono, int(rate), int(target), quality="HQ").astype(np.float32)
