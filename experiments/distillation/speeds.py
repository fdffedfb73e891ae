"""Copies of training speech at other speeds, as files: more voices from few speakers."""

import concurrent.futures
import dataclasses
import io
import json
import os
import pathlib

import numpy as np
import soundfile
import soxr
from keras.utils import Progbar

from pad_keras import data, soundfile_decoder
from pad_keras.data.fingerprints import text_hash
from pad_keras.files import write_atomically


def at_speeds(utterances, speeds, folder):
    """Utterances at each of some speeds; pitch and formants move with the tempo.

    A copy is a FLAC file that is made once; another one is made when its audio has changed.

    Args:
        utterances: list of `Utterance`.
        speeds: sequence of float, 1.1 for a tenth faster; 1 is the utterance itself.
        folder: path, where the copies go.

    Returns:
        List of `Utterance`, speed by speed; a copy's id ends in its speed.

    Raises:
        pad_keras.data.BadInputError: naming audio that cannot be decoded.

    Reference:
        Ko et al., "Audio augmentation for speech recognition" (Interspeech 2015).
    """
    found = []
    for speed in speeds:
        if speed == 1:
            found += utterances
            continue
        target = pathlib.Path(folder) / f"{speed:g}"
        target.mkdir(parents=True, exist_ok=True)
        print(f"speed {speed:g}: {len(utterances)} utterances in {target}")
        progress = Progbar(len(utterances), unit_name="utterance")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for copy in pool.map(lambda one: _copy(one, speed, target), utterances):  # noqa: B023
                found.append(copy)
                progress.add(1)
    return found


def _copy(utterance, speed, folder):
    """One utterance at another speed; its file is written unless it is there."""
    try:
        audio = os.stat(utterance.audio)
    except FileNotFoundError:
        raise data.BadInputError(f"{utterance.audio}: there is no such file") from None
    identity = json.dumps([str(utterance.audio), audio.st_size, audio.st_mtime_ns])
    path = folder / f"{text_hash(identity)[:24]}.flac"
    if not path.is_file():
        _write(path, _faster(utterance.audio, speed))
    # Word times are of the utterance as it was.
    return dataclasses.replace(
        utterance,
        id=f"{utterance.id}@{speed:g}",
        audio=str(path),
        seconds=soundfile.info(path).duration,
        words=(),
    )


def _faster(path, speed):
    """A file's waveform at 16 kHz, played faster."""
    try:
        samples, rate = soundfile_decoder.decode(pathlib.Path(path).read_bytes())
    except ValueError as error:
        raise data.BadInputError(f"{path}: {error}") from error
    return soxr.resample(samples.mean(axis=1), rate * speed, data.SAMPLE_RATE)


def _write(path, waveform):
    file = io.BytesIO()
    # Resampling overshoots; 16 bits would wrap.
    soundfile.write(file, np.clip(waveform, -1, 1), data.SAMPLE_RATE, "PCM_16", format="FLAC")
    write_atomically(path, file.getvalue())
