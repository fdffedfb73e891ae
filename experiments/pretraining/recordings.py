"""Audio files under folders, without transcripts, labels or speakers."""

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import soundfile
from keras.utils import Progbar

from pad_keras import soundfile_decoder
from pad_keras.files import files_under

SAMPLE_RATE = 16_000
SUFFIXES = (".flac", ".ogg", ".wav")
# As FLAC has it: the length of a stream that was written without one is reported as more.
MOST_FRAMES = 2**36
# Two frames of the front end.
LEAST_SECONDS = 0.045
_PROGRESS_FROM = 2_000


@dataclasses.dataclass(frozen=True)
class Recording:
    """One audio file.

    Args:
        path: str.
        samples: int, at 16 kHz.
    """

    path: str
    samples: int


def find_recordings(roots):
    """Audio files under folders, sorted by path.

    Args:
        roots: sequence of paths, each a folder or a file.

    Returns:
        List of `Recording`.

    Raises:
        FileNotFoundError: if a root is missing or holds no audio.
        ValueError: naming the files that cannot be read, are shorter than two frames, or have a
            sample rate that cannot be.
    """
    paths = [path for root in roots for path in _audio_files(pathlib.Path(root))]
    paths = sorted(set(paths))
    progress = Progbar(len(paths), unit_name="file") if len(paths) >= _PROGRESS_FROM else None
    recordings, problems = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for path, samples in zip(paths, pool.map(_samples, paths), strict=True):
            if progress:
                progress.add(1)
            if isinstance(samples, str):
                problems.append(f"{path}: {samples}")
            else:
                recordings.append(Recording(path, samples))
    if problems:
        raise ValueError(
            f"{len(problems)} of {len(paths)} audio files cannot be used; move them away:\n"
            + "\n".join(problems[:20])
        )
    return recordings


def read_waveform(recording):
    """Decode a recording.

    Args:
        recording: `Recording`.

    Returns:
        `[samples]` float32 at 16 kHz; channels are averaged.

    Raises:
        ValueError: naming a file that cannot be decoded, is cut short, or holds what is no number.
    """
    try:
        samples, rate = soundfile_decoder.decode(pathlib.Path(recording.path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{recording.path}: {error} Move it away, or encode it anew.") from error
    waveform = samples.mean(axis=1)
    if rate == SAMPLE_RATE:
        return waveform
    return soundfile_decoder.resample(waveform, rate, SAMPLE_RATE)


def recordings_hash(recordings, roots):
    """Hash of which recordings there are, in their order, and of how long they are.

    Args:
        recordings: list of `Recording`, as `find_recordings` gives it.
        roots: sequence of paths, in which they were found.

    Returns:
        str of 16 hexadecimal digits; it does not depend on where the roots are, but on their order.
    """
    roots = [pathlib.Path(root) for root in roots]
    # A root that is a file is called by its name.
    folders = [root.parent if root.is_file() else root for root in roots]
    told = [[_name_within(recording.path, folders), recording.samples] for recording in recordings]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def total_hours(recordings):
    """Hours of audio.

    Args:
        recordings: list of `Recording`.

    Returns:
        float.
    """
    return float(np.sum([recording.samples for recording in recordings]) / SAMPLE_RATE / 3600)


def _name_within(path, folders):
    """Path of a file from the first of some folders that holds it."""
    path = pathlib.Path(path)
    folder = next(folder for folder in folders if path.is_relative_to(folder))
    return path.relative_to(folder).as_posix()


def _audio_files(root):
    if root.is_file():
        return [str(root)]
    if not root.is_dir():
        raise FileNotFoundError(f"No folder {str(root)!r}; give a folder of audio files.")
    found = [str(path) for path in files_under(root) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise FileNotFoundError(
            f"No audio under {str(root)!r}; expected files that end in {', '.join(SUFFIXES)}."
        )
    return found


def _samples(path):
    """Number of samples at 16 kHz, or the reason why the file cannot be used."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, RuntimeError) as error:
        return f"unreadable audio ({error})"
    if info.frames > MOST_FRAMES:
        return "its header does not say how long it is; encode it anew"
    if not soundfile_decoder.is_possible_rate(info.samplerate):
        return f"its sample rate cannot be ({info.samplerate} Hz)"
    if info.duration < LEAST_SECONDS:
        return f"too short ({info.frames} samples at {info.samplerate} Hz)"
    return int(info.duration * SAMPLE_RATE)
