import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pad_keras.data import decode_audio, tensorflow_io_works
from pad_keras.data.audio import diagnose
from tests.data.corpus import tone

DECODERS = ["soundfile"] + (["tensorflow_io"] if tensorflow_io_works() else [])
FORMATS = {
    "flac16": ("FLAC", "PCM_16"),
    "flac24": ("FLAC", "PCM_24"),
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav_float": ("WAV", "FLOAT"),
    "wav8": ("WAV", "PCM_U8"),
    "wavex": ("WAVEX", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
# 16 bit, but for these; Opus bends a tone at its ends.
TOLERANCE = {"flac24": 1e-6, "wav24": 1e-6, "wav_float": 1e-6, "wav8": 0.02}
TOLERANCE |= {"vorbis": 0.02, "opus": 0.1}


def encoded(wave, rate=16_000, name="flac16"):
    container, subtype = FORMATS[name]
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=container, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_its_waveform(name, decoder):
    if name == "opus" and decoder == "tensorflow_io":
        pytest.skip("it has no kernel for Opus")
    wave = tone(0.5)
    decoded = decode_audio(encoded(wave, name=name), decoder=decoder).numpy()
    assert decoded.dtype == np.float32
    assert decoded.shape == wave.shape
    np.testing.assert_allclose(decoded, wave, atol=TOLERANCE.get(name, 1e-4))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["flac16", "wav16", "vorbis"])
def test_channels_are_averaged(name, decoder):
    left, right = tone(0.4), tone(0.4, frequency=660)
    contents = encoded(np.stack([left, right], axis=1), name=name)
    decoded = decode_audio(contents, decoder=decoder).numpy()
    np.testing.assert_allclose(decoded, (left + right) / 2, atol=0.02)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("name", ["flac16", "wav16"])
def test_any_rate_becomes_16_khz_without_a_shift(name, rate, decoder):
    decoded = decode_audio(encoded(tone(0.5, rate), rate, name), decoder=decoder).numpy()
    assert abs(len(decoded) - 8_000) <= 1
    middle = slice(1_000, 7_000)
    np.testing.assert_allclose(decoded[middle], tone(0.5)[middle], atol=2e-3)


@pytest.mark.skipif(len(DECODERS) < 2, reason="tensorflow-io does not work here")
@pytest.mark.parametrize("name", ["flac16", "flac24", "wav16", "vorbis"])
def test_the_decoders_agree(name):
    contents = encoded(np.random.default_rng(0).uniform(-0.9, 0.9, 5_000), name=name)
    first, second = (decode_audio(contents, decoder=d).numpy() for d in DECODERS)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_it_works_in_a_graph(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(tone(0.2)))
    dataset = tf.data.Dataset.from_tensors(str(path))
    dataset = dataset.map(lambda p: decode_audio(tf.io.read_file(p)))
    assert next(iter(dataset)).shape == (3200,)


def bad_rate_wav():
    contents = bytearray(encoded(tone(0.1), name="wav16"))
    contents[24:28] = struct.pack("<I", 0)
    return bytes(contents)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"RIFF",
        b"no audio at all " * 50,
        encoded(tone(0.5))[:500],
        encoded(tone(2.0), name="wav16")[:-3000],
        encoded(tone(9.0), name="vorbis")[:-3000],
        encoded(tone(9.0), name="opus")[:-3000],
        encoded(tone(9.0), name="opus")[:-1],
        b"fLaC" + bytes(200),
        b"OggS" + bytes(24) + b"\x01vorbis" + bytes(200),
        bad_rate_wav(),
        encoded(np.zeros(0), name="wav16"),
    ],
    ids=[
        "empty",
        "stub",
        "text",
        "cut-flac",
        "cut-wav",
        "cut-vorbis",
        "cut-opus",
        "cut-opus-by-a-byte",
        "flac-zeros",
        "ogg-zeros",
        "rate-0",
        "no-samples",
    ],
)
def test_broken_contents_are_refused(contents):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_audio(contents)
    # And the next call works.
    assert decode_audio(encoded(tone(0.1))).shape == (1600,)


@pytest.mark.parametrize("name", ["flac16", "wav16", "vorbis", "opus"])
def test_damage_anywhere_is_refused_or_decoded_but_never_fatal(name):
    whole, generator = encoded(tone(0.5), name=name), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(damaged), 4):
            damaged[place] = generator.integers(256)
        try:
            waveform = decode_audio(bytes(damaged[: generator.integers(1, len(damaged))]))
        except tf.errors.InvalidArgumentError:
            continue
        assert waveform.shape[0] > 0


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("contents", [b"", b"no audio at all " * 50, bad_rate_wav()])
def test_either_decoder_refuses_what_is_no_audio(contents, decoder):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_audio(contents, decoder=decoder)


@pytest.mark.skipif(tensorflow_io_works(), reason="tensorflow-io works here")
def test_a_decoder_that_does_not_work_here_is_refused():
    with pytest.raises(ValueError, match="use decoder='soundfile'"):
        decode_audio(encoded(tone(0.1)), decoder="tensorflow_io")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.flac"):
        decode_audio(tmp_path / "nowhere.flac")


def test_an_unknown_decoder_is_named():
    with pytest.raises(ValueError, match="ffmpeg"):
        decode_audio(b"", decoder="ffmpeg")


def test_a_header_that_claims_too_much_is_refused():
    contents = bytearray(encoded(tone(0.5), name="flac16"))
    # The number of samples: 36 bits from the middle of the 22nd byte on.
    contents[21] |= 0x0F
    contents[22:26] = b"\xff" * 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="header says|broken"):
        decode_audio(bytes(contents))


def test_a_file_of_several_blocks_is_read_whole():
    samples = tone(10.0)
    decoded = decode_audio(encoded(samples, name="wav16")).numpy()
    np.testing.assert_allclose(decoded, samples, atol=1e-4)


def test_diagnosis_says_why(tmp_path):
    empty, good = tmp_path / "empty.wav", tmp_path / "good.wav"
    empty.write_bytes(b"")
    good.write_bytes(encoded(tone(0.1), name="wav16"))
    assert "empty" in diagnose(str(empty))
    assert "no such file" in diagnose(str(tmp_path / "gone.wav"))
    assert diagnose(str(good)) is None
