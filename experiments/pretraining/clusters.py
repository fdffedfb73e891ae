"""Clusters of frames, the targets of masked prediction: by k-means, without labels."""

import numpy as np
import scipy.fft
from keras.utils import Progbar
from sklearn.cluster import MiniBatchKMeans

from experiments.pretraining.recordings import SAMPLE_RATE, read_waveform

MFCC_BANDS, MFCC_COEFFICIENTS = 40, 13
_LOWEST, _HIGHEST = 20.0, 8000.0


def mfcc(waveform, front_end):
    """MFCC with first and second differences, of the samples that each frame sees.

    Args:
        waveform: `[samples]` float32 at 16 kHz.
        front_end: `FrontEnd`.

    Returns:
        `[frames, 39]` float32, each coefficient of zero mean and unit variance over the recording:
        what stays the same through a recording is the voice and the room, not the sounds.
    """
    frames = front_end.frames(waveform.size)
    windows = np.lib.stride_tricks.sliding_window_view(waveform, front_end.width)
    windows = windows[:: front_end.hop][:frames] * np.hamming(front_end.width)
    size = 1 << (front_end.width - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(windows, size)))
    bands = np.log(power @ mel_filters(MFCC_BANDS, size).T + 1e-10)
    cepstrum = scipy.fft.dct(bands, norm="ortho")[:, :MFCC_COEFFICIENTS]
    first = np.gradient(cepstrum, axis=0)
    features = np.concatenate([cepstrum, first, np.gradient(first, axis=0)], axis=1)
    features = features - features.mean(axis=0)
    return (features / (features.std(axis=0) + 1e-5)).astype("float32")


def mel_filters(bands, size):
    """Triangular filters at equal distances on the mel scale.

    Args:
        bands: int.
        size: int, samples of the Fourier transform.

    Returns:
        `[bands, size // 2 + 1]` float64.
    """
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOWEST, _HIGHEST))
    edges = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * SAMPLE_RATE / size
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def mfcc_features(recordings, front_end):
    """MFCC of recordings, one after the other.

    Args:
        recordings: list of `Recording`.
        front_end: `FrontEnd`.

    Yields:
        `[frames, 39]` float32.
    """
    for recording in recordings:
        yield mfcc(read_waveform(recording), front_end)


def hidden_features(recordings, backbone, layer):
    """Hidden states of recordings, one after the other.

    Args:
        recordings: list of `Recording`.
        backbone: `Wav2Vec2Backbone`; it runs in inference mode.
        layer: int, index of the hidden state.

    Yields:
        `[frames, hidden_dim]` float32.
    """
    for recording in recordings:
        waveform = read_waveform(recording)
        # Few lengths, so that a compiler meets few shapes.
        padded = np.zeros(-(-waveform.size // SAMPLE_RATE) * SAMPLE_RATE, "float32")
        padded[: waveform.size] = waveform
        mask = np.arange(padded.size) < waveform.size
        outputs = backbone.predict_on_batch({"waveform": padded[None], "padding_mask": mask[None]})
        yield outputs["hidden_states"][0, layer][outputs["mask"][0]].astype("float32")


def fit_clusters(features, count, num_clusters, max_frames=400_000, seed=0):
    """k-means of a sample of frames.

    Args:
        features: iterable of `[frames, dim]`.
        count: int, how many there are, for the bar of progress.
        num_clusters: int.
        max_frames: int, frames that are kept in memory.
        seed: int.

    Returns:
        `[num_clusters, dim]` float32, the centres.

    Raises:
        ValueError: if there are fewer frames than clusters.
    """
    generator = np.random.default_rng(seed)
    kept, progress = [], Progbar(count, unit_name="recording")
    share = max(1, max_frames // count)
    for frames in features:
        progress.add(1)
        chosen = generator.permutation(len(frames))[:share]
        kept.append(frames[chosen])
    sample = np.concatenate(kept)
    if len(sample) < num_clusters:
        raise ValueError(
            f"{num_clusters} clusters of {len(sample)} frames; give more audio or fewer clusters."
        )
    kmeans = MiniBatchKMeans(
        num_clusters, batch_size=10_000, n_init=5, max_no_improvement=50, random_state=seed
    )
    return kmeans.fit(sample).cluster_centers_.astype("float32")


def assign_clusters(features, centres, count):
    """Nearest centre of every frame.

    Args:
        features: iterable of `[frames, dim]`, a recording each.
        centres: `[num_clusters, dim]`.
        count: int, how many recordings there are.

    Returns:
        List of `[frames]` int16 arrays.
    """
    half_norms, found = np.square(centres).sum(axis=1) / 2, []
    progress = Progbar(count, unit_name="recording")
    for frames in features:
        progress.add(1)
        found.append(np.argmax(frames @ centres.T - half_norms, axis=1).astype("int16"))
    return found
