"""How long a training step takes to compile, clipped by pad_keras and by Keras.

    KERAS_BACKEND=jax python -m experiments.benchmarks.clipping
    KERAS_BACKEND=jax python -m experiments.benchmarks.clipping --layers 1   # sooner

The same small encoder with the same weights makes one step on one batch with each optimizer, first
without any clipping, as a reference; the weights after it are compared. Processor seconds of the
first step, compilation included, go to experiments/results/benchmarks. On JAX and one core expect
four minutes, nearly all of it for Keras' clipping.
"""

import dataclasses
import pathlib
import time

import keras
import numpy as np
import tyro

from experiments.benchmarks.measure import RESULTS
from experiments.command_line import explained_errors
from experiments.results import print_table, versions, write_json
from pad_keras.models import UtteranceClassifier, Wav2Vec2Backbone
from pad_keras.optimizers import ClippedAdam

_LEARNING_RATE = 1e-3
# Adam's first step on a gradient near zero may go either way.
_EPSILON = 1e-3
OPTIMIZERS = {
    "no clipping": lambda: keras.optimizers.Adam(_LEARNING_RATE, epsilon=_EPSILON),
    "pad_keras": lambda: ClippedAdam(_LEARNING_RATE, epsilon=_EPSILON, global_clipnorm=1.0),
    "keras": lambda: keras.optimizers.Adam(_LEARNING_RATE, epsilon=_EPSILON, global_clipnorm=1.0),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is compiled, and where the figures go."""

    layers: int = 2
    """Transformer layers of the encoder."""
    dim: int = 32
    """Its width."""
    samples: int = 4_800
    """Length of the two utterances of the batch."""
    out: pathlib.Path = RESULTS
    """Folder of the JSON."""


def first_step(settings, optimizer):
    """Processor seconds of a model's first training step, and its weights after it.

    Args:
        settings: `Settings`.
        optimizer: `keras.optimizers.Optimizer`.

    Returns:
        Tuple of float and list of arrays.
    """
    keras.utils.set_random_seed(0)
    encoder = Wav2Vec2Backbone.from_preset(
        "mini",
        conv_filters=(8,) * 7,
        hidden_dim=settings.dim,
        num_layers=settings.layers,
        num_heads=2,
        intermediate_dim=2 * settings.dim,
        positional_groups=2,
        positional_kernel=8,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    )
    model = UtteranceClassifier(encoder, {"intent": ("a", "b")}, fine_tune=True)
    model.compile(optimizer, jit_compile=keras.backend.backend() != "torch")
    waveform = np.random.default_rng(0).normal(size=(2, settings.samples)).astype("float32")
    batch = {"waveform": waveform, "padding_mask": np.ones(waveform.shape, "bool")}
    start = time.process_time()
    model.train_on_batch(batch, {"intent": np.array([0, 1])})
    return time.process_time() - start, model.get_weights()


def main(settings):
    """Measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        Dict from the optimizer's name to processor seconds.

    Raises:
        ValueError: if the two clippings do not come to the same weights.
    """
    seconds, weights = {}, {}
    for name, build in OPTIMIZERS.items():
        seconds[name], weights[name] = first_step(settings, build())
        print(f"{name}: {seconds[name]:.1f} s")
    for ours, theirs in zip(weights["pad_keras"], weights["keras"], strict=True):
        if not np.allclose(ours, theirs, rtol=1e-4, atol=1e-6):
            raise ValueError("The two clippings do not come to the same weights.")
    backend = keras.backend.backend()
    print_table(
        f"The first training step on {backend}",
        ["optimizer", "processor seconds", "of keras"],
        [[name, value, value / seconds["keras"]] for name, value in seconds.items()],
    )
    path = settings.out / f"clipping-{backend}-{settings.layers}-layers.json"
    write_json(path, {"settings": settings, "versions": versions(), "seconds": seconds})
    print(f"written: {path}")
    return seconds


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
