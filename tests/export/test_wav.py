import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pad_keras import soundfile_decoder
from pad_keras.export.resample import RATES
from pad_keras.export.wav import decode_wav


def wav(samples, rate=16_000, subtype="PCM_16", form="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def chunk(name, contents):
    return name + struct.pack("<I", len(contents)) + contents + b"\0" * (len(contents) % 2)


def riff(*chunks):
    contents = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(contents)) + contents


def decoded(*files):
    waveform, lengths = decode_wav(tf.constant(files))
    rows = zip(waveform.numpy(), lengths.numpy(), strict=True)
    return [row[:length] for row, length in rows]


SPEECH = np.random.default_rng(2).normal(scale=0.1, size=999)
PCM = wav(SPEECH)
FORMAT, DATA = PCM[12:36], PCM[36:]


@pytest.mark.parametrize(
    ("subtype", "form"),
    [
        ("PCM_U8", "WAV"),
        ("PCM_16", "WAV"),
        ("PCM_24", "WAV"),
        ("PCM_32", "WAV"),
        ("FLOAT", "WAV"),
        ("DOUBLE", "WAV"),
        ("PCM_16", "WAVEX"),
        ("PCM_24", "WAVEX"),
        ("FLOAT", "WAVEX"),
    ],
)
def test_formats_are_read_as_soundfile_reads_them(subtype, form):
    contents = wav(SPEECH, subtype=subtype, form=form)
    expected, _ = soundfile_decoder.decode(contents)
    np.testing.assert_array_equal(decoded(contents)[0], expected[:, 0])


@pytest.mark.parametrize("rate", RATES)
def test_rates_are_resampled(rate):
    contents = wav(SPEECH, rate)
    samples, _ = soundfile_decoder.decode(contents)
    assert len(decoded(contents)[0]) == len(soundfile_decoder.resample(samples[:, 0], rate, 16_000))


def test_files_of_different_length_rate_and_channels_make_a_batch():
    stereo = np.stack([SPEECH, -SPEECH, SPEECH], axis=1)
    first, second, third = decoded(PCM, wav(np.zeros(50), 8000), wav(stereo))
    np.testing.assert_array_equal(first, soundfile_decoder.decode(PCM)[0][:, 0])
    np.testing.assert_array_equal(second, np.zeros(100))
    np.testing.assert_allclose(third, first / 3, atol=1e-4)


@pytest.mark.parametrize(
    "contents",
    [
        riff(FORMAT, chunk(b"LIST", b"INFOISFT\x04\0\0\0abcd"), DATA),
        riff(chunk(b"JUNK", bytes(27)), FORMAT, chunk(b"LIST", b"odd"), DATA),
        riff(FORMAT, DATA, chunk(b"id3 ", b"behind")),
        riff(chunk(b"fmt ", FORMAT[8:] + b"\0\0"), DATA),
        PCM + b"behind",
        PCM[:40] + b"\xff" * 4 + PCM[44:],
    ],
    ids=["chunk between", "odd chunks", "chunk behind", "long format", "bytes behind", "no size"],
)
def test_what_surrounds_the_samples_does_not_matter(contents):
    np.testing.assert_array_equal(decoded(contents)[0], decoded(PCM)[0])


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "empty"),
        (b"no audio at all, but bytes" * 9, "no WAV file"),
        (wav(SPEECH, form="FLAC"), "no WAV file"),
        (PCM[:30], "format or its data is missing"),
        (riff(DATA), "format or its data is missing"),
        (b"RIFF\0\0\0\0WAVE" + bytes(10_000), "format or its data is missing"),
        (PCM[:-3], "1995 of 1998 bytes"),
        (wav(SPEECH, subtype="ULAW"), "format of the WAV file is 7 with 8 bits.*pcm_s16le"),
        (PCM[:22] + b"\0\0" + PCM[24:], "broken: 0 channels"),
        (wav(SPEECH, 9_600), "9600 Hz, not one of 8000, 11025, .*-ar 16000"),
        (wav(SPEECH[:0]), "no samples"),
    ],
    ids=[
        "empty",
        "not audio",
        "another format",
        "cut in the header",
        "no format",
        "zeros",
        "cut short",
        "another encoding",
        "broken header",
        "another rate",
        "no samples",
    ],
)
def test_tells_why_a_file_is_refused(contents, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_wav(tf.constant([PCM, contents]))
    assert len(decoded(PCM)[0]) == len(SPEECH)
