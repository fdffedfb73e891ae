"""Checks of the backbone's arguments."""

import math
import numbers

from pad_keras.models.reading import check_sizes, is_count
from pad_keras.models.wav2vec2.convolutions import receptive_field

MODEL_TYPES = ("wav2vec2", "hubert")
# 10 s at 16 kHz, 400 times a frame of wav2vec 2.0: few utterances would give a single frame, and
# beyond it a model loads that can take no audio.
_LONGEST_FRAME = 160_000


def check_convolutions(filters, kernels, strides, norm):
    """Refuse a front end whose parts do not fit together."""
    for name, sizes in (("filters", filters), ("kernels", kernels), ("strides", strides)):
        if not isinstance(sizes, tuple | list) or not all(map(is_count, sizes)):
            raise ValueError(
                f"`conv_{name}` must have a positive and whole size for each convolution, not "
                f"{sizes!r}."
            )
    if not len(filters) == len(kernels) == len(strides) or not filters:
        raise ValueError(
            "`conv_filters`, `conv_kernels` and `conv_strides` must have one entry for each "
            f"convolution; they have {len(filters)}, {len(kernels)} and {len(strides)}."
        )
    # The last stride is in the step alone.
    samples, step = receptive_field(kernels, strides), math.prod(strides)
    if max(samples, step) > _LONGEST_FRAME:
        raise ValueError(
            "`conv_kernels` and `conv_strides` must give frames that see, and lie apart, at most "
            f"{_LONGEST_FRAME:,} samples; those of {kernels!r} and {strides!r} see {samples:,} and "
            f"lie {step:,} apart."
        )
    if norm not in ("group", "layer"):
        raise ValueError(f'`conv_norm` must be "group" or "layer", not {norm!r}.')


def check_widths(hidden_dim, num_heads, positional_groups):
    """Refuse a width that heads or groups do not divide."""
    for name, parts in (("num_heads", num_heads), ("positional_groups", positional_groups)):
        if hidden_dim % parts:
            raise ValueError(
                f"`{name}` must divide `hidden_dim`: {parts} does not divide {hidden_dim}."
            )


def check_rates(**rates):
    """Refuse rates outside [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"`{name}` must be at least 0 and less than 1, not {rate}.")


def resolve_layers(layers, num_layers):
    """Sorted non-negative indices of the layers that make the prior."""
    if layers is None:
        return list(range(num_layers))
    if not layers or not all(-num_layers <= layer < num_layers for layer in layers):
        raise ValueError(
            f"`significance_layers` must be None or name some of the {num_layers} layers, "
            f"{-num_layers} to {num_layers - 1}; it is {layers!r}."
        )
    return sorted({layer % num_layers for layer in layers})


def check_model_type(model_type):
    """Refuse a name that the transformers layout does not give to this family."""
    if model_type not in MODEL_TYPES:
        raise ValueError(f"`model_type` must be one of {MODEL_TYPES}, not {model_type!r}.")


def check_counts(**counts):
    """Refuse sizes that are no positive integers."""
    for name, value in counts.items():
        if not is_count(value):
            raise ValueError(f"`{name}` must be positive and whole, not {value!r}.")


def check_positive(**values):
    """Refuse what is no positive and finite number, and NaN, which no comparison refuses."""
    for name, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise ValueError(f"`{name}` must be a positive and finite number, not {value!r}.")


def check_flags(**flags):
    """Refuse what is neither true nor false: the text "false" would count as true."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"`{name}` must be true or false, not {value!r}.")


def check_memory(
    conv_filters,
    conv_kernels,
    hidden_dim,
    num_layers,
    intermediate_dim,
    positional_kernel,
    positional_groups,
):
    """Refuse an encoder whose weights this machine cannot hold."""
    inputs = (1, *conv_filters[:-1])
    convolutions = sum(map(math.prod, zip(inputs, conv_filters, conv_kernels, strict=True)))
    layer = hidden_dim * (4 * hidden_dim + 2 * intermediate_dim)
    positions = positional_kernel * hidden_dim * (hidden_dim // positional_groups)
    projection = conv_filters[-1] * hidden_dim
    check_sizes(num_layers, convolutions + projection + positions + num_layers * layer)
