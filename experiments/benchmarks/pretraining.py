"""How long an update of HuBERT's pretraining takes, against transformers' encoder on torch.

    python -m experiments.benchmarks.pretraining --threads 1     # mini; ten minutes
    python -m experiments.benchmarks.pretraining --size base
    python -m experiments.benchmarks.pretraining --tiny          # try it out in a minute

Ours is `MaskedPredictionModel` with the optimizer of `experiments.pretrain`, by `train_on_batch`,
which draws new masks and counts hits each time. Theirs is `HubertModel` with the same head in
torch, AdamW and clipping, with one mask throughout. Dropout is off. Given one mask, both must give
the same logits and loss. They run in turn; a ratio above 1 says that ours is faster.
"""

import dataclasses
import pathlib
import tempfile
from typing import Literal

import keras
import numpy as np
import tyro
from keras import ops

from experiments.backends import resolve_jit
from experiments.benchmarks import measure
from experiments.benchmarks.encoder import NO_CHANCE, TINY, speech
from experiments.command_line import explained_errors
from experiments.optimization import encoder_optimizer
from experiments.pretraining.configuration import Pretraining
from pad_keras.models import MaskedPredictionModel, Wav2Vec2Backbone
from pad_keras.models.wav2vec2.convolutions import frame_counts
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

TOLERANCE = 1e-3
_CLUSTERS = 100


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is compared, and how often."""

    size: Literal["mini", "base", "large"] = "mini"
    """Architecture; the weights are random."""
    batch: int = 2
    """Utterances of an update."""
    seconds: float = 8.0
    """Length of each."""
    rounds: int = 5
    """Times that each runs."""
    threads: int | None = None
    """Threads of each; None leaves them to the libraries."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small architecture, short utterances, one round."""

    def resolved(self):
        """The settings with what `tiny` changes."""
        if not self.tiny:
            return self
        return dataclasses.replace(self, size="mini", batch=2, seconds=0.5, rounds=1)


class Theirs:
    """HuBERT of transformers with our head, in torch.

    Args:
        ours: `MaskedPredictionModel`, whose weights are taken.
        settings: `Pretraining`, of the optimizer.
    """

    def __init__(self, ours, settings):
        import torch
        from transformers import HubertModel

        with tempfile.TemporaryDirectory() as folder:
            ours.backbone.to_transformers(folder)
            self.encoder = HubertModel.from_pretrained(folder, layerdrop=0.0, dtype=torch.float32)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.encoder.to(self.device).train()
        kernel, bias, clusters = (
            torch.tensor(ops.convert_to_numpy(weight), device=self.device)
            for weight in (*ours.projection.weights, ours.cluster_embeddings)
        )
        self.projection = torch.nn.Linear(*kernel.shape, device=self.device)
        self.projection.weight.data, self.projection.bias.data = kernel.T.contiguous(), bias
        self.clusters = torch.nn.Parameter(clusters)
        self.temperature, self.unmasked_weight = ours.temperature, ours.unmasked_weight
        self.parameters = [
            *self.encoder.parameters(),
            *self.projection.parameters(),
            self.clusters,
        ]
        self.clip_norm = settings.clip_norm
        self.optimizer = torch.optim.AdamW(
            self.parameters, settings.learning_rate, weight_decay=settings.weight_decay
        )

    def logits(self, waveform, masked):
        """Cosines of frames and clusters, by the temperature.

        Args:
            waveform: `[batch, samples]` tensor.
            masked: `[batch, frames]` bool tensor.

        Returns:
            `[batch, frames, clusters]` tensor.
        """
        from torch.nn import functional

        encoded = self.encoder(waveform, mask_time_indices=masked).last_hidden_state
        frames = functional.normalize(self.projection(encoded), dim=-1)
        return frames @ functional.normalize(self.clusters, dim=-1).T / self.temperature

    def loss(self, logits, masked, targets):
        """Cross-entropy of the masked frames, and by their weight of the others.

        Args:
            logits: `[batch, frames, clusters]` tensor.
            masked: `[batch, frames]` bool tensor.
            targets: `[batch, frames]` int tensor.

        Returns:
            Scalar tensor.
        """
        from torch.nn import functional

        losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        return losses[masked].mean() + self.unmasked_weight * losses[~masked].mean()

    def update(self, waveform, masked, targets):
        """One step of training.

        Args:
            waveform: `[batch, samples]` tensor.
            masked: `[batch, frames]` bool tensor.
            targets: `[batch, frames]` int tensor.

        Returns:
            float, the loss.
        """
        from torch.nn import utils

        loss = self.loss(self.logits(waveform, masked), masked, targets)
        self.optimizer.zero_grad()
        loss.backward()
        utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.optimizer.step()
        return loss.item()


def candidates(settings):
    """An update of ours and of theirs, once both were seen to compute the same.

    Args:
        settings: `Settings`, resolved.

    Returns:
        Dict from `"pad_keras"` and `"transformers"` to functions without arguments.

    Raises:
        ValueError: if they do not.
    """
    import torch

    keras.utils.set_random_seed(0)
    recipe = Pretraining()
    backbone = Wav2Vec2Backbone.from_preset(
        settings.size,
        model_type="hubert",
        mask_time_prob=recipe.mask_time_prob,
        mask_time_length=recipe.mask_time_length,
        **(TINY if settings.tiny else NO_CHANCE),
    )
    ours = MaskedPredictionModel(backbone, _CLUSTERS, unmasked_weight=recipe.unmasked_weight)
    optimizer = encoder_optimizer(recipe, warmup_steps=1, total_steps=1000, beta_2=0.98)
    ours.compile(optimizer=optimizer, jit_compile=resolve_jit(None))
    theirs = Theirs(ours, recipe)

    waveform = speech(settings.batch, int(settings.seconds * SAMPLE_RATE))
    frames = frame_counts(waveform.shape[1], backbone.conv_kernels, backbone.conv_strides)
    targets = np.random.default_rng(0).integers(_CLUSTERS, size=(settings.batch, frames))
    inputs = {"waveform": waveform, "padding_mask": np.ones(waveform.shape, "bool")}
    outputs = ours(inputs)
    loss = ours.compute_loss(y=ops.convert_to_tensor(targets), y_pred=outputs)
    masked = ops.convert_to_numpy(outputs["masked"])
    tensors = [torch.tensor(array, device=theirs.device) for array in (waveform, masked, targets)]
    with torch.no_grad():
        logits = theirs.logits(*tensors[:2])
        computed = logits.cpu().numpy(), theirs.loss(logits, *tensors[1:]).cpu().numpy()
    measure.check_equal(
        "Ours and transformers", measure.finished((outputs["logits"], loss)), computed, TOLERANCE
    )
    return {
        "pad_keras": lambda: ours.train_on_batch(inputs, targets),
        "transformers": lambda: theirs.update(*tensors),
    }


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
    times = measure.in_turn(candidates(settings), settings.rounds)
    ratio = measure.ratio(times["transformers"], times["pad_keras"])
    rows = [[f"{settings.batch} x {settings.seconds:g} s", ratio]]
    measure.report(
        f"pretraining-{settings.size}",
        settings,
        f"An update of HuBERT's pretraining of {settings.size} on {keras.backend.backend()}",
        ["batch", "transformers / ours"],
        rows,
        {"times": times},
        settings.out,
    )
    return rows


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
