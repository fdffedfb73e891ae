"""Audio files under folders, without transcripts, labels or speakers."""

import concurrent.futures
import dataclasses
import pathlib

import numpy as np
import soundfile
import soxr
from keras.utils import Progbar

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
        ValueError: naming the files that cannot be read or are shorter than two frames.
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
        ValueError: naming a file that cannot be decoded.
    """
    try:
        waveform, rate = soundfile.read(recording.path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"{recording.path}: unreadable audio ({error}); move it away") from error
    waveform = waveform.mean(axis=1)
    return waveform if rate == SAMPLE_RATE else soxr.resample(waveform, rate, SAMPLE_RATE)


def total_hours(recordings):
    """Hours of audio.

    Args:
        recordings: list of `Recording`.

    Returns:
        float.
    """
    return float(np.sum([recording.samples for recording in recordings]) / SAMPLE_RATE / 3600)


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
    if not info.samplerate or info.duration < LEAST_SECONDS:
        return f"too short ({info.frames} samples at {info.samplerate} Hz)"
    return int(info.duration * SAMPLE_RATE)
