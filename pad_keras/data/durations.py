"""Durations of audio files, from their headers."""

import concurrent.futures
import dataclasses
import os

import soundfile
from keras.utils import Progbar

AUDIO_SUFFIXES = (".flac", ".ogg", ".wav")
# Pattern of names; macOS leaves a file `._x.wav`, no audio, beside each x.wav that it copies.
VISIBLE = "[!.]*"
# As FLAC has it: the length of a stream that was written without one is reported as more.
MOST_FRAMES = 2**36
# A frame of the usual front end needs 400 samples.
LEAST_SECONDS = 0.025
_PROGRESS_FROM = 2_000


def with_durations(utterances, problems):
    """Fill in the durations of utterances; those whose header cannot be read are problems.

    Args:
        utterances: list of `Utterance`, `seconds` not known yet.
        problems: `Problems`.

    Returns:
        List of `Utterance` in the same order.
    """
    paths = [utterance.audio for utterance in utterances]
    progress = Progbar(len(paths), unit_name="file") if len(paths) >= _PROGRESS_FROM else None
    measured = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for utterance, seconds in zip(utterances, pool.map(_seconds, paths), strict=True):
            if progress:
                progress.add(1)
            if isinstance(seconds, str):
                problems.add(utterance.audio, seconds)
            else:
                measured.append(dataclasses.replace(utterance, seconds=seconds))
    return measured


def _seconds(path):
    """Duration from the header, or the reason why there is none."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        return _why_unreadable(path, error)
    if info.frames > MOST_FRAMES:
        return "its header does not say how long it is; encode it anew"
    if not info.samplerate or info.duration < LEAST_SECONDS:
        return f"too short ({info.frames} samples at {info.samplerate} Hz)"
    return info.duration


def _why_unreadable(path, error):
    try:
        size = os.stat(path).st_size
    # No file has a NUL in its name, which is a ValueError.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "the audio file is missing"
    except OSError as refusal:
        # A name that is too long, a folder that may not be entered.
        return f"unreadable audio ({refusal.strerror})"
    return f"unreadable audio ({error})" if size else "the audio file is empty"
