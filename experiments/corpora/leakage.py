"""Can labels be told from length and voice alone? They should not.

    python -m experiments.corpora.leakage

trains a random forest on the duration and the mean pitch of each training utterance of the
embedded intent corpus and compares its accuracy on test with the most frequent label's. Takes half
a minute.
"""

import numpy as np
import soundfile
from scipy import signal
from sklearn.ensemble import RandomForestClassifier

from experiments.results import print_table
from experiments.understanding.configuration import EMBEDDED_CORPORA
from pad_keras import data

# Range of the fundamental frequency of speech, in Hz.
_LOWEST, _HIGHEST = 60, 400
_WINDOW_SECONDS, _HOP_SECONDS = 0.05, 0.025
# Normalized autocorrelation from which a frame counts as voiced.
_VOICED = 0.5


def mean_pitch(waveform, rate):
    """Mean fundamental frequency of the voiced frames, by the peak of the autocorrelation.

    Args:
        waveform: `[samples]` float array.
        rate: int, in Hz.

    Returns:
        float in Hz; 0 if no frame is voiced.
    """
    window, hop = int(_WINDOW_SECONDS * rate), int(_HOP_SECONDS * rate)
    least_lag, greatest_lag = rate // _HIGHEST, rate // _LOWEST
    pitches = []
    for start in range(0, len(waveform) - window, hop):
        frame = waveform[start : start + window]
        frame = frame - frame.mean()
        # Not divided by the overlap: then a multiple of the period, less sure, would win at times.
        correlation = signal.correlate(frame, frame, method="fft")[window - 1 :]
        lags = correlation[least_lag : greatest_lag + 1]
        if correlation[0] > 1e-6 and lags.max() > _VOICED * correlation[0]:
            pitches.append(rate / (least_lag + int(lags.argmax())))
    return float(np.mean(pitches)) if pitches else 0.0


def length_and_pitch(utterances):
    """Duration in seconds and mean pitch in Hz of each utterance.

    Args:
        utterances: list of `Utterance`.

    Returns:
        `[utterances, 2]` float array.
    """
    return np.array([[u.seconds, mean_pitch(*soundfile.read(u.audio))] for u in utterances])


def leaked_accuracy(train, test):
    """Accuracy of a classifier that knows length and pitch alone.

    Args:
        train: list of `Utterance` with labels.
        test: list of `Utterance` with labels.

    Returns:
        Tuple of the accuracy on `test` and of the accuracy that always answering the most
        frequent label of `train` gives.
    """
    classes, counts = np.unique(_labels(train), return_counts=True)
    forest = RandomForestClassifier(n_estimators=200, min_samples_leaf=3, random_state=0)
    forest.fit(length_and_pitch(train), _labels(train))
    accuracy = np.mean(forest.predict(length_and_pitch(test)) == _labels(test))
    return float(accuracy), float(np.mean(_labels(test) == classes[counts.argmax()]))


def _labels(utterances):
    return np.array(["/".join(utterance.labels.values()) for utterance in utterances])


if __name__ == "__main__":
    _splits = [data.fluent_speech_commands(EMBEDDED_CORPORA["ic"], s) for s in ("train", "test")]
    print_table(
        "intents told from length and pitch",
        ["accuracy", "most frequent"],
        [list(leaked_accuracy(*_splits))],
    )
