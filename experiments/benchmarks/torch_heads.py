"""SUPERB's heads in plain torch: what one would write without `pad_keras.models`.

A head's modules take the weights of the Keras head that they stand for, so that both begin at the
same loss. Dropout and SpecAugment are left out.
"""

import torch
from keras import ops
from torch import nn

LEARNING_RATE = 1e-4
CLIP_NORM = 1.0
EPSILON = 1e-8


class WeightedSum(nn.Module):
    """Sum of hidden states, weighted by a softmax over one scalar a layer.

    By `einsum`, which takes half as long on a CPU as a product and a sum over the stacked states.

    Args:
        layers: int, hidden states, the encoder's input included.
    """

    def __init__(self, layers):
        super().__init__()
        self.layer_logits = nn.Parameter(torch.zeros(layers))

    def forward(self, states):
        """Weigh and sum.

        Args:
            states: `[batch, layers, frames, dim]`.

        Returns:
            `[batch, frames, dim]`.
        """
        return torch.einsum("l,blnd->bnd", torch.softmax(self.layer_logits, dim=0), states)


class TorchUtteranceClassifier(nn.Module):
    """Weighted sum, linear layer, mean over real frames, linear layer.

    Args:
        head: `pad_keras.models.UtteranceClassifier` whose weights are taken over.
    """

    def __init__(self, head):
        super().__init__()
        self.weighted_sum = WeightedSum(head.weighted_sum.layer_logits.shape[0])
        self.projection = _linear(head.projection)
        self.classifier = _linear(head.classifier)
        self.sizes = [len(names) for names in head.label_names.values()]
        copy_(self.weighted_sum.layer_logits, head.weighted_sum.layer_logits)

    def loss(self, states, mask, *targets):
        """Sum over groups of the mean cross-entropy.

        Args:
            states: `[batch, layers, frames, dim]` float32.
            mask: `[batch, frames]` bool.
            *targets: `[batch]` int64, one a group.

        Returns:
            Scalar.
        """
        projected = self.projection(self.weighted_sum(states))
        weights = mask[:, :, None].to(projected.dtype)
        mean = (projected * weights).sum(dim=1) / weights.sum(dim=1)
        logits = self.classifier(mean).split(self.sizes, dim=1)
        pairs = zip(logits, targets, strict=True)
        return sum(nn.functional.cross_entropy(group, ids) for group, ids in pairs)


class TorchSlotFiller(nn.Module):
    """Weighted sum, linear layer, bidirectional LSTMs of packed sequences, linear layer, CTC.

    torch's LSTMs have two biases where Keras' have one: the second starts at zero.

    Args:
        head: `pad_keras.models.SlotFiller` whose weights are taken over.
    """

    def __init__(self, head):
        super().__init__()
        self.weighted_sum = WeightedSum(head.weighted_sum.layer_logits.shape[0])
        self.projection = _linear(head.projection)
        self.lstm = nn.LSTM(
            head.projection_dim,
            head.lstm_dim,
            num_layers=head.num_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.classifier = _linear(head.classifier)
        self.ctc = nn.CTCLoss(blank=head.vocabulary.blank, zero_infinity=True)
        copy_(self.weighted_sum.layer_logits, head.weighted_sum.layer_logits)
        copy_lstms(self.lstm, head.recurrent)

    def loss(self, states, mask, targets, target_lengths):
        """CTC loss, each utterance's divided by its target's length.

        Args:
            states: `[batch, layers, frames, dim]` float32.
            mask: `[batch, frames]` bool, real frames first.
            targets: `[batch, labels]` int64.
            target_lengths: `[batch]` int64.

        Returns:
            Scalar.
        """
        frames = mask.sum(dim=1)
        projected = self.projection(self.weighted_sum(states))
        packed = nn.utils.rnn.pack_padded_sequence(
            projected, frames, batch_first=True, enforce_sorted=False
        )
        x, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        log_probabilities = self.classifier(x).log_softmax(dim=-1)
        return self.ctc(log_probabilities.transpose(0, 1), targets, frames, target_lengths)


def training_step(module, *batch):
    """A step of Adam with clipped gradients, as `superb_optimizer` makes it.

    Args:
        module: `TorchUtteranceClassifier` or `TorchSlotFiller`.
        *batch: what its `loss` takes.

    Returns:
        Function without arguments that makes a step and returns the loss before it, a float.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, eps=EPSILON)

    def step():
        optimizer.zero_grad()
        loss = module.loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
        return loss.item()

    return step


def copy_(parameter, variable, transpose=False):
    """Copy a Keras variable into a torch parameter.

    Args:
        parameter: `torch.nn.Parameter`.
        variable: `keras.Variable`.
        transpose: bool; Keras keeps kernels as `[in, out]`, torch as `[out, in]`.
    """
    values = ops.convert_to_numpy(variable)
    with torch.no_grad():
        parameter.copy_(torch.tensor(values.T if transpose else values))


def copy_lstms(lstm, layers):
    """Copy Keras' bidirectional LSTMs into torch's; both order gates input, forget, cell, output.

    Args:
        lstm: `torch.nn.LSTM`.
        layers: list of `pad_keras.layers.BidirectionalLSTM`.
    """
    for index, layer in enumerate(layers):
        directions = ((layer.forward_layer, ""), (layer.backward_layer, "_reverse"))
        for direction, suffix in directions:
            name, cell = f"l{index}{suffix}", direction.cell
            copy_(getattr(lstm, f"weight_ih_{name}"), cell.kernel, transpose=True)
            copy_(getattr(lstm, f"weight_hh_{name}"), cell.recurrent_kernel, transpose=True)
            copy_(getattr(lstm, f"bias_ih_{name}"), cell.bias)
            nn.init.zeros_(getattr(lstm, f"bias_hh_{name}"))


def _linear(dense):
    """A torch layer with the weights of a Keras one."""
    linear = nn.Linear(*dense.kernel.shape)
    copy_(linear.weight, dense.kernel, transpose=True)
    copy_(linear.bias, dense.bias)
    return linear
