"""Speed, noise and reverberation, in NumPy."""

import dataclasses
import math

import numpy as np
import scipy.signal
import soxr

from experiments.checks import check_positive
from experiments.pretraining.recordings import SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What may be done to a waveform before a model hears it; its targets stay clean."""

    speeds: tuple[float, float] = (0.85, 1.2)
    """Range of the factor by which speech becomes faster and higher."""
    noise: float = 0.3
    """Probability of coloured noise."""
    snr: tuple[float, float] = (5.0, 30.0)
    """Range of its signal-to-noise ratio in decibels."""
    reverberation: float = 0.2
    """Probability of a room."""
    rt60: tuple[float, float] = (0.1, 0.5)
    """Range of the seconds in which the room's sound falls by 60 decibels."""

    def __post_init__(self):
        """Check ranges and probabilities, which otherwise fail only in some batch."""
        check_positive(self, "speeds", "rt60")
        for name in ("speeds", "snr", "rt60"):
            low, high = getattr(self, name)
            if not (low <= high and math.isfinite(low) and math.isfinite(high)):
                raise ValueError(
                    f"`{name}` must be two finite numbers, the lower one first, got {(low, high)}."
                )
        for name in ("noise", "reverberation"):
            probability = getattr(self, name)
            if not 0 <= probability <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {probability}.")


def change_speed(waveform, speed):
    """Play a waveform faster; pitch and tempo change together.

    Args:
        waveform: `[samples]` float32.
        speed: float, 2 for twice as fast.

    Returns:
        `[samples / speed]` float32.
    """
    return soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, quality="LQ")


def add_noise(waveform, snr, slope, generator):
    """Add noise whose power falls with frequency.

    Args:
        waveform: `[samples]` float32.
        snr: float, decibels.
        slope: float, exponent of 1/frequency of the power; 0 is white, 1 pink, 2 brown.
        generator: `numpy.random.Generator`.

    Returns:
        `[samples]` float32.
    """
    spectrum = np.fft.rfft(generator.standard_normal(waveform.size))
    frequencies = np.maximum(np.arange(spectrum.size), 1.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-slope / 2), waveform.size)
    power = np.mean(np.square(waveform)) / 10 ** (snr / 10)
    noise *= np.sqrt(power / max(np.mean(np.square(noise)), 1e-20))
    return (waveform + noise).astype("float32")


def reverberate(waveform, rt60, generator):
    """Put a waveform into a room: exponentially decaying noise behind the direct sound.

    Args:
        waveform: `[samples]` float32.
        rt60: float, seconds in which the sound falls by 60 decibels.
        generator: `numpy.random.Generator`.

    Returns:
        `[samples]` float32, aligned with the input.
    """
    seconds = np.arange(int(rt60 * SAMPLE_RATE)) / SAMPLE_RATE
    response = generator.standard_normal(seconds.size) * 10 ** (-3 * seconds / rt60)
    # Direct sound and room of equal power, a speaker at some distance.
    response *= 1 / np.sqrt(max(np.sum(np.square(response)), 1e-20))
    response[:1] = 1.0
    return scipy.signal.fftconvolve(waveform, response)[: waveform.size].astype("float32")


def distort(waveform, augmentation, generator):
    """Reverberate and add noise at random; what is heard when stays.

    Args:
        waveform: `[samples]` float32.
        augmentation: `Augmentation`.
        generator: `numpy.random.Generator`.

    Returns:
        `[samples]` float32.
    """
    if generator.random() < augmentation.reverberation:
        waveform = reverberate(waveform, generator.uniform(*augmentation.rt60), generator)
    if generator.random() < augmentation.noise:
        snr, slope = generator.uniform(*augmentation.snr), generator.uniform(0.0, 2.0)
        waveform = add_noise(waveform, snr, slope, generator)
    return waveform
