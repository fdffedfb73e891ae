"""What the attention-based significance prior costs the encoder's forward pass.

    python -m experiments.benchmarks.significance                # mini; 5 and 30 s: some minutes
    python -m experiments.benchmarks.significance --size base    # half an hour
    python -m experiments.benchmarks.significance --tiny         # try it out in a minute

The same random `Wav2Vec2Backbone` on one utterance, with the prior of all layers and without any:
the backbone itself takes at least one layer, so its own layers are put together again here, the
transformer layers with `return_received=False`. First `sequence_output` and `hidden_states` of both
are compared. Then the two run in turn, compiled alike: `tf.function`, `jax.jit`, plain on torch.

Peak memory is what the first call takes of the host's, beyond the weights, in a process of its own.
"all maps" is computed: what `[layers, heads, frames, frames]` float32 would take. Were the layers'
attention maps kept for the prior, "with" would exceed "without" by about as much.
"""

import dataclasses
import pathlib
from typing import Literal

import keras
import numpy as np
import tyro
from keras import ops

from experiments.benchmarks import measure
from experiments.benchmarks.computations import compiled
from experiments.benchmarks.measure import in_own_process
from experiments.command_line import explained_errors
from pad_keras.models import Wav2Vec2Backbone
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

# Absolute, for outputs of unit variance: both compute the same, in another order at most.
TOLERANCE = 1e-3
MODELS = ("with", "without")
_TINY = {
    # Two convolutions, still of 320 samples a frame, compile sooner than seven.
    "conv_filters": (16, 16),
    "conv_kernels": (40, 20),
    "conv_strides": (20, 16),
    "hidden_dim": 32,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 64,
    "positional_kernel": 8,
    "positional_groups": 2,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    size: Literal["mini", "base", "large"] = "mini"
    """Architecture; the weights are random."""
    seconds: tuple[float, ...] = (5.0, 30.0)
    """Lengths of the utterance."""
    rounds: int = 7
    """Times that each runs."""
    threads: int | None = None
    """Threads to compute with; None leaves them to the backend."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small architecture, one short utterance."""

    def resolved(self):
        """The settings with what `tiny` changes."""
        if not self.tiny:
            return self
        return dataclasses.replace(self, size="mini", seconds=(0.5,), rounds=2)


def build(settings):
    """`Wav2Vec2Backbone` with random weights, the same each time; its prior takes all layers."""
    keras.utils.set_random_seed(0)
    return Wav2Vec2Backbone.from_preset(settings.size, **(_TINY if settings.tiny else {}))


def without_prior(encoder):
    """The encoder of the same layers and weights, without a significance prior.

    Args:
        encoder: `Wav2Vec2Backbone`.

    Returns:
        `keras.Model` of the encoder's inputs and of its outputs but `significance`.
    """
    frames, mask = encoder.feature_encoder(encoder.input["waveform"], encoder.input["padding_mask"])
    x = frames if encoder.feature_norm is None else encoder.feature_norm(frames)
    x = encoder.spec_augment(encoder.feature_dropout(encoder.feature_projection(x)), None)
    x = encoder.positional_embedding(x, mask)
    if not encoder.norm_first:
        x = encoder.encoder_norm(x)
    hidden_states = [encoder.encoder_dropout(x)]
    for layer in encoder.transformer_layers:
        plain = type(layer).from_config({**layer.get_config(), "return_received": False})
        hidden_states.append(plain(hidden_states[-1], mask))
        plain.set_weights(layer.get_weights())
    if encoder.norm_first:
        hidden_states[-1] = encoder.encoder_norm(hidden_states[-1])
    outputs = {
        "sequence_output": hidden_states[-1],
        "hidden_states": ops.stack(hidden_states, axis=1),
        "mask": mask,
    }
    return keras.Model(encoder.input, outputs)


def forward(model, seconds):
    """Forward pass on one random utterance, compiled.

    Args:
        model: `keras.Model` of a waveform and its padding mask.
        seconds: float, length of the utterance.

    Returns:
        Function without arguments that gives the model's outputs as arrays.
    """
    waveform = (
        np.random.default_rng(0).normal(size=(1, int(seconds * SAMPLE_RATE))).astype("float32")
    )
    batch = {"waveform": waveform, "padding_mask": np.ones(waveform.shape, "bool")}
    trainable = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]

    def call(trainable, fixed, batch):
        return model.stateless_call(trainable, fixed, batch, training=False)[0]

    # The weights are arguments, lest XLA take them for constants and fold them.
    return compiled(call, trainable, fixed, batch)


def peak(settings, seconds, name):
    """Peak memory of a forward pass, bytes; call it in a process of its own."""
    measure.limit_threads(settings.threads)
    encoder = build(settings)
    model = encoder if name == "with" else without_prior(encoder)
    return measure.peak_memory(forward(model, seconds))


def main(settings):
    """Compare, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if the encoder does not compute the same without its prior.
    """
    settings = settings.resolved()
    measure.limit_threads(settings.threads)
    encoder = build(settings)
    models = {"with": encoder, "without": without_prior(encoder)}
    rows, details = [], []
    for seconds in settings.seconds:
        runs = {name: forward(models[name], seconds) for name in MODELS}
        outputs = {name: run() for name, run in runs.items()}
        for output in ("sequence_output", "hidden_states"):
            pair = (outputs[name][output] for name in MODELS)
            measure.check_equal(f"`{output}` with and without the prior", *pair, TOLERANCE)
        times = measure.in_turn(runs, settings.rounds)
        peaks = {name: in_own_process(peak, settings, seconds, name) for name in MODELS}
        frames = outputs["with"]["mask"].shape[1]
        maps = 4 * encoder.num_layers * encoder.num_heads * frames**2
        medians = [float(np.median(times[name])) for name in MODELS]
        ratio = measure.ratio(times["with"], times["without"])
        rows.append([f"{seconds:g} s", frames, *medians, ratio])
        rows[-1] += [size and size / 1e6 for size in (*peaks.values(), maps)]
        print(f"{rows[-1][0]}: {ratio}")
        details.append({"seconds": seconds, "times": times, "peak_bytes": peaks, "all_maps": maps})
    columns = ["utterance", "frames", "with, s", "without, s", "with / without"]
    columns += ["with, MB", "without, MB", "all maps, MB"]
    title = f"Significance prior of wav2vec2-{settings.size} on {keras.backend.backend()}"
    name = f"significance-{settings.size}"
    measure.report(name, settings, title, columns, rows, details, settings.out)
    return rows


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
