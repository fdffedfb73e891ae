"""wav2vec 2.0 here and in transformers on torch: forward, and forward and backward.

    python -m experiments.benchmarks.encoder                # 1, 4, 16 x 5, 15 s: hours
    python -m experiments.benchmarks.encoder --batches 1 4 --seconds 5
    KERAS_BACKEND=jax python -m experiments.benchmarks.encoder --precision mixed_bfloat16   # GPU
    python -m experiments.benchmarks.encoder --tiny         # try it out in a minute

The same random weights go to both (by `to_transformers`), the same audio and as many threads. First
the outputs, the losses and the gradients of the first convolution are compared. Then the two run in
turn; a ratio above 1 says that transformers takes longer. Ours computes the significance prior as
well. Torch runs as it comes: eager, with its fused attention. The last column compares the
operations of the products of matrices with those of one large product on the same backend in the
same time; with a frozen front end it counts too many of training.
"""

import dataclasses
import pathlib
import tempfile
from typing import Literal

import keras
import numpy as np
import tyro

from experiments.benchmarks import computations, measure
from experiments.command_line import explained_errors
from pad_keras.models import Wav2Vec2Backbone
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

# Of the largest number there is; in 16 bit the two round at different places.
TOLERANCES = {"float32": 2e-3, "mixed_bfloat16": 1e-1}
NO_CHANCE = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
TINY = {
    **NO_CHANCE,
    "conv_filters": (16,) * 7,
    "hidden_dim": 32,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_dim": 64,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    size: Literal["mini", "base", "large"] = "base"
    """Architecture; the weights are random."""
    batches: tuple[int, ...] = (1, 4, 16)
    """Utterances of a batch."""
    seconds: tuple[float, ...] = (5.0, 15.0)
    """Length of each utterance."""
    passes: tuple[Literal["forward", "training"], ...] = ("forward", "training")
    """Forward alone in inference mode; and forward and backward, to every weight."""
    freeze_feature_encoder: bool = False
    """Leave the convolutions out of the backward pass, on both sides."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Dtype policy here, autocast on torch."""
    rounds: int = 5
    """Times that each runs."""
    threads: int | None = None
    """Threads of each; None leaves them to the libraries."""
    jit_compile: bool | None = None
    """Ours by XLA; None does so on JAX, and on TensorFlow where there is a GPU."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small architecture, one short utterance."""

    def resolved(self):
        """The settings with what `tiny` changes."""
        if not self.tiny:
            return self
        return dataclasses.replace(self, size="mini", batches=(2,), seconds=(0.5,), rounds=2)


def build(settings):
    """Ours, and the same in transformers.

    Args:
        settings: `Settings`.

    Returns:
        `Wav2Vec2Backbone` and `transformers.Wav2Vec2Model`.
    """
    import torch
    from transformers import Wav2Vec2Model

    keras.utils.set_random_seed(0)
    ours = Wav2Vec2Backbone.from_preset(
        settings.size,
        dtype=settings.precision,
        freeze_feature_encoder=settings.freeze_feature_encoder,
        **(TINY if settings.tiny else NO_CHANCE),
    )
    with tempfile.TemporaryDirectory() as folder:
        ours.to_transformers(folder)
        theirs = Wav2Vec2Model.from_pretrained(
            folder, apply_spec_augment=False, layerdrop=0.0, dtype=torch.float32
        )
    theirs.to("cuda" if torch.cuda.is_available() else "cpu")
    if settings.freeze_feature_encoder:
        theirs.freeze_feature_encoder()
    return ours, theirs


def theirs_forward(model, waveform, precision):
    """Transformers' forward pass.

    Args:
        model: `transformers.Wav2Vec2Model`.
        waveform: `[batch, samples]` array.
        precision: str, a dtype policy of Keras.

    Returns:
        Function without arguments that gives the last hidden state as an array.
    """
    import torch

    inputs = torch.tensor(waveform, device=model.device)

    def run():
        model.eval()
        with torch.inference_mode(), _autocast(model, precision):
            return model(inputs).last_hidden_state.float().cpu().numpy()

    return run


def theirs_training(model, waveform, precision):
    """Transformers' forward and backward pass, to the same loss as ours.

    Args:
        model: `transformers.Wav2Vec2Model`.
        waveform: `[batch, samples]` array.
        precision: str, a dtype policy of Keras.

    Returns:
        Function without arguments that gives the loss and the gradient of the first trainable
        convolution or linear layer, as arrays laid out as Keras does.
    """
    import torch

    inputs = torch.tensor(waveform, device=model.device)
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # There unless the front end is frozen; the projection's norm is the first weight then.
    first = "feature_extractor.conv_layers.0.conv.weight"
    first = first if first in weights else "feature_projection.layer_norm.weight"

    def run():
        model.train()
        with _autocast(model, precision):
            output = model(inputs).last_hidden_state.float()
            # As `computations.half_square`.
            loss = output[:, :, : output.shape[-1] // 2].square().mean()
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        gradient = dict(zip(weights, gradients, strict=True))[first].cpu().numpy()
        return loss.detach().cpu().numpy(), np.transpose(gradient)

    return run


def _autocast(model, precision):
    import torch

    is_16_bit = precision == "mixed_bfloat16"
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=is_16_bit)


def main(settings):
    """Compare, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if the two do not compute the same.
    """
    settings = settings.resolved()
    measure.limit_threads(settings.threads)
    ours, theirs = build(settings)
    rows, details = [], []
    for name in settings.passes:
        for batch in settings.batches:
            for seconds in settings.seconds:
                samples = int(seconds * SAMPLE_RATE)
                timed, yardstick = compare(settings, name, ours, theirs, batch, samples)
                ratio = measure.ratio(timed["transformers"], timed["pad_keras"])
                share = operations_share(name, ours, batch, samples, timed, yardstick)
                rows.append([f"{name}, {batch} x {seconds:g} s", ratio, share])
                details.append(
                    {
                        "pass": name,
                        "batch": batch,
                        "seconds": seconds,
                        "times": timed,
                        "operations of the matrix product": yardstick,
                    }
                )
                print(f"{rows[-1][0]}: {ratio}")
    measure.report(
        f"encoder-{settings.size}-{settings.precision}",
        settings,
        f"wav2vec2-{settings.size} on {keras.backend.backend()}, {settings.precision}",
        ["pass", "transformers / ours", "of a matrix product's speed"],
        rows,
        details,
        settings.out,
    )
    return rows


def speech(batch, samples):
    """Noise, normalised as some sizes do here and the reference's processor does.

    Args:
        batch: int, utterances.
        samples: int, of each.

    Returns:
        `[batch, samples]` float32 array.
    """
    waveform = np.random.default_rng(0).normal(size=(batch, samples)).astype("float32")
    waveform -= waveform.mean(axis=1, keepdims=True)
    return waveform / waveform.std(axis=1, keepdims=True)


def compare(settings, name, ours, theirs, batch, samples):
    """Check that both compute the same, and time them in turn.

    Args:
        settings: `Settings`.
        name: `"forward"` or `"training"`.
        ours: `Wav2Vec2Backbone`.
        theirs: `transformers.Wav2Vec2Model`.
        batch: int.
        samples: int.

    Returns:
        Tuple of a dict from `"pad_keras"`, `"transformers"` and `"matrix product"` to list of
        seconds, and the operations of that product.
    """
    waveform = speech(batch, samples)
    inputs = {"waveform": waveform, "padding_mask": np.ones(waveform.shape, "bool")}
    if name == "forward":
        ours_run = computations.forward(ours, inputs, settings.jit_compile)
        theirs_run = theirs_forward(theirs, waveform, settings.precision)
    else:
        ours_run = computations.forward_backward(ours, inputs, jit_compile=settings.jit_compile)
        theirs_run = theirs_training(theirs, waveform, settings.precision)
    tolerance = TOLERANCES[settings.precision]
    measure.check_equal("Ours and transformers", ours_run(), theirs_run(), tolerance)
    dtype = keras.dtype_policies.get(settings.precision).compute_dtype
    product, operations = computations.matrix_product(dtype)
    runs = {"pad_keras": ours_run, "transformers": theirs_run, "matrix product": product}
    return measure.in_turn(runs, settings.rounds), operations


def operations_share(name, ours, batch, samples, timed, yardstick):
    """Operations a second of ours, of those of one large product of matrices.

    Args:
        name: `"forward"` or `"training"`.
        ours: `Wav2Vec2Backbone`.
        batch: int.
        samples: int.
        timed: dict, as `compare` gives it.
        yardstick: int, operations of the product that `compare` timed.

    Returns:
        `Ratio`.
    """
    operations = computations.encoder_operations(ours, batch, samples)
    if name == "training":
        operations *= computations.TRAINING_FACTOR
    # Seconds an operation of the product, to those of ours.
    return measure.ratio(
        [seconds / yardstick for seconds in timed["matrix product"]],
        [seconds / operations for seconds in timed["pad_keras"]],
    )


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
