"""Training steps of SUPERB's heads, ours and torch's, on the same random batches."""

import keras
import numpy as np
import torch
from keras import ops

from experiments.backends import resolve_jit
from experiments.benchmarks.torch_heads import (
    TorchSlotFiller,
    TorchUtteranceClassifier,
    training_step,
)
from pad_keras.models import SlotFiller, UtteranceClassifier, Wav2Vec2Backbone

# As many as Fluent Speech Commands' action, object and location and Audio SNIPS' slots have.
LABELS = {"action": 6, "object": 14, "location": 4}
SLOTS = 39
CLASSIFIER, POOLED, FILLER = "classifier", "pooled classifier", "slot filler"
TORCH = "{}, torch"


def random_inputs(settings, generator):
    """Hidden states of utterances of different lengths.

    Args:
        settings: `experiments.benchmarks.heads.Settings`.
        generator: `numpy.random.Generator`.

    Returns:
        Dict of `hidden_states` `[batch, layers + 1, frames, dim]` and `mask` `[batch, frames]`.
    """
    lengths = generator.integers(settings.frames // 2, settings.frames + 1, settings.batch)
    lengths[0] = settings.frames
    mask = np.arange(settings.frames) < lengths[:, None]
    shape = (settings.batch, settings.layers + 1, settings.frames, settings.dim)
    states = generator.standard_normal(shape, dtype="float32")
    states *= mask[:, None, :, None]
    return {"hidden_states": states, "mask": mask}


def pooled(inputs):
    """Means over real frames, as `HiddenStateCache` keeps them with `pooled=True`.

    Args:
        inputs: dict, as `random_inputs` gives it; states of padding are zero.

    Returns:
        The same of one frame.
    """
    counts = inputs["mask"].sum(axis=1).astype("float32")[:, None, None, None]
    means = inputs["hidden_states"].sum(axis=2, keepdims=True) / counts
    return {"hidden_states": means, "mask": np.ones((len(means), 1), "bool")}


def random_targets(settings, generator, tokens):
    """Labels and characters to be learnt.

    Args:
        settings: `experiments.benchmarks.heads.Settings`.
        generator: `numpy.random.Generator`.
        tokens: int, size of the slot filler's vocabulary.

    Returns:
        Tuple of dicts: ids by group, and `ids` and `length` of texts, of a quarter as many labels
        as frames at most, so that each utterance has frames enough.
    """
    batch, most = settings.batch, settings.frames // 4
    ids = {group: generator.integers(0, count, batch) for group, count in LABELS.items()}
    lengths = generator.integers(max(most // 2, 1), most + 1, batch)
    labels = generator.integers(1, tokens, (batch, most)) * (np.arange(most) < lengths[:, None])
    return ids, {"ids": labels, "length": lengths}


def keras_step(head, inputs, targets):
    """A training step of a head of ours.

    Args:
        head: `SpeechTask`.
        inputs: dict of arrays.
        targets: dict of arrays.

    Returns:
        Function without arguments that makes a step and returns the loss before it, a float.
    """
    head.compile(jit_compile=resolve_jit(None))
    # Converted once: this is to time the head, not how arrays reach the backend.
    x, y = keras.tree.map_structure(ops.convert_to_tensor, (inputs, targets))
    return lambda: float(head.train_on_batch(x, y, return_dict=True)["loss"])


def candidates(settings):
    """Steps of all heads, in two groups that each begin at one loss.

    Args:
        settings: `experiments.benchmarks.heads.Settings`.

    Returns:
        List of dicts from name to function, the classifiers and the slot fillers.
    """
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    classifier, on_pooled, filler = _heads(settings)
    inputs = random_inputs(settings, generator)
    ids, texts = random_targets(settings, generator, len(filler.vocabulary))
    classifiers = _pair(CLASSIFIER, classifier, TorchUtteranceClassifier, inputs, ids)
    classifiers |= _pair(POOLED, on_pooled, TorchUtteranceClassifier, pooled(inputs), ids)
    return [classifiers, _pair(FILLER, filler, TorchSlotFiller, inputs, texts)]


def _heads(settings):
    """Two classifiers with the same weights, and a slot filler."""
    # It never runs, but a head carries its encoder's weights through each step.
    encoder = Wav2Vec2Backbone.from_preset(
        "mini",
        conv_filters=(8,),
        conv_kernels=(400,),
        conv_strides=(320,),
        hidden_dim=settings.dim,
        num_layers=settings.layers,
        num_heads=2,
        intermediate_dim=settings.dim,
        positional_groups=2,
        positional_kernel=8,
    )
    names = {group: [str(i) for i in range(count)] for group, count in LABELS.items()}
    classifier, on_pooled = (
        UtteranceClassifier(encoder, names, settings.projection_dim) for _ in range(2)
    )
    on_pooled.set_weights(classifier.get_weights())
    filler = SlotFiller(
        encoder,
        [f"slot{i}" for i in range(SLOTS)],
        projection_dim=settings.projection_dim,
        lstm_dim=settings.lstm_dim,
        dropout=0.0,
        spec_augment=False,
    )
    return classifier, on_pooled, filler


def _pair(name, head, module, inputs, targets):
    """Steps of a head of ours and of its counterpart on the same batch, by name."""
    arrays = [inputs["hidden_states"], inputs["mask"], *targets.values()]
    return {
        name: keras_step(head, inputs, targets),
        TORCH.format(name): training_step(module(head), *map(torch.from_numpy, arrays)),
    }
