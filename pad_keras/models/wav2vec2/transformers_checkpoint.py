"""wav2vec 2.0 and HuBERT in the layout of the transformers library: read and write."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
from keras import ops

from pad_keras.files import write_atomically
from pad_keras.models.reading import read_json, reading
from pad_keras.models.wav2vec2.transformers_config import (
    CONFIG_FILE,
    PREPROCESSOR_FILE,
    preprocessor_config,
    reference_config,
)

HUB_SCHEME = "hf://"
SAFETENSORS_FILE = "model.safetensors"
# In the order of preference; the first that is there is read.
WEIGHT_FILES = (
    SAFETENSORS_FILE,
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SAFETENSORS_PATTERNS = ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]
TORCH_PATTERNS = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model-*.bin",
]


def find_checkpoint(preset, load_weights=True):
    """Find the local folder of a transformers checkpoint of this family.

    Args:
        preset: path of a folder, or `"hf://owner/name"`, which is downloaded.
        load_weights: bool, whether the weights must come along.

    Returns:
        `pathlib.Path`; `None` if the preset is of another kind (KerasHub's, say).

    Raises:
        FileNotFoundError: if it is a path without `config.json`.
        ValueError: if it is a transformers checkpoint of another model.
    """
    _check_path(str(preset))
    on_hub = str(preset).startswith(HUB_SCHEME)
    if on_hub:
        config_path = _download(str(preset), [CONFIG_FILE]) / CONFIG_FILE
    else:
        config_path = Path(preset) / CONFIG_FILE
    if not config_path.is_file():
        return None
    config = read_json(config_path)
    if "registered_name" in config or "model_type" not in config:
        return None
    if config["model_type"] not in ("wav2vec2", "hubert"):
        raise ValueError(
            f"{config_path} has `model_type` {config['model_type']!r}; Wav2Vec2Backbone reads "
            "wav2vec2 and hubert."
        )
    if on_hub:
        _download(str(preset), [PREPROCESSOR_FILE])
        if load_weights:
            _download_weights(str(preset))
    return config_path.parent


def _check_path(preset):
    """Refuse a path without a model: KerasHub would take it for a name that it does not know."""
    path = Path(preset)
    is_path = "://" not in preset and (path.is_dir() or len(path.parts) > 1)
    if is_path and not (path / CONFIG_FILE).is_file():
        there = sorted(str(found.parent) for found in path.glob(f"*/{CONFIG_FILE}"))
        hint = f"did you mean {' or '.join(there)}?" if there else f"a hub's is {HUB_SCHEME}{path}."
        raise FileNotFoundError(f"No {CONFIG_FILE} in {preset!r}; {hint}")


def _download_weights(preset):
    """Fetch the weights of a hub repository in one format only."""
    folder = _download(preset, SAFETENSORS_PATTERNS)
    if not any((folder / name).is_file() for name in WEIGHT_FILES[:2]):
        _download(preset, TORCH_PATTERNS)


def _download(preset, patterns):
    """Fetch the files of a hub repository that match; return its local folder."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"Reading {preset!r} needs the package huggingface_hub; install it, or pass a local "
            "folder."
        ) from error
    repository = preset.removeprefix(HUB_SCHEME)
    return Path(huggingface_hub.snapshot_download(repository, allow_patterns=patterns))


def checkpoint_variables(backbone):
    """Every weight of a backbone under the name that the reference gives it.

    Args:
        backbone: a `Wav2Vec2Backbone`.

    Returns:
        dict of name (without prefix, weight norm as `weight_g` and `weight_v`) to a pair of
        `keras.Variable` and layout, a key of `LAYOUTS`.
    """
    table = {"masked_spec_embed": (backbone.spec_augment.mask_embedding, "same")}

    def add_norm(name, norm):
        table[f"{name}.weight"] = (norm.gamma, "same")
        table[f"{name}.bias"] = (norm.beta, "same")

    def add_dense(name, layer):
        table[f"{name}.weight"] = (layer.kernel, "dense")
        table[f"{name}.bias"] = (layer.bias, "same")

    for index, block in enumerate(backbone.feature_encoder.blocks):
        name = f"feature_extractor.conv_layers.{index}"
        table[f"{name}.conv.weight"] = (block.kernel, "convolution")
        if block.use_bias:
            table[f"{name}.conv.bias"] = (block.bias, "same")
        if block.norm is not None:
            add_norm(f"{name}.layer_norm", block)
    if backbone.feature_norm is not None:
        add_norm("feature_projection.layer_norm", backbone.feature_norm)
    add_dense("feature_projection.projection", backbone.feature_projection)
    _add_positions(table, add_norm, backbone.positional_embedding)
    add_norm("encoder.layer_norm", backbone.encoder_norm)
    for index, layer in enumerate(backbone.transformer_layers):
        name = f"encoder.layers.{index}"
        attention = layer.attention
        add_dense(f"{name}.attention.q_proj", attention.query)
        add_dense(f"{name}.attention.k_proj", attention.key)
        add_dense(f"{name}.attention.v_proj", attention.value)
        add_dense(f"{name}.attention.out_proj", attention.output_projection)
        add_norm(f"{name}.layer_norm", layer.attention_norm)
        add_dense(f"{name}.feed_forward.intermediate_dense", layer.intermediate_dense)
        add_dense(f"{name}.feed_forward.output_dense", layer.output_dense)
        add_norm(f"{name}.final_layer_norm", layer.output_norm)
    return table


def _add_positions(table, add_norm, embedding):
    """Add the positional convolution's weights to a table of names."""
    name = "encoder.pos_conv_embed"
    table[f"{name}.conv.bias"] = (embedding.bias, "same")
    if not embedding.batch_norm:
        table[f"{name}.conv.weight_g"] = (embedding.gain, "gain")
        table[f"{name}.conv.weight_v"] = (embedding.kernel, "convolution")
        return
    table[f"{name}.conv.weight"] = (embedding.kernel, "convolution")
    add_norm(f"{name}.batch_norm", embedding.normalization)
    table[f"{name}.batch_norm.running_mean"] = (embedding.normalization.moving_mean, "same")
    table[f"{name}.batch_norm.running_var"] = (embedding.normalization.moving_variance, "same")


# Layout: what turns a checkpoint's array into ours, and back.
LAYOUTS = {
    "same": (lambda array: array, lambda array: array),
    "dense": (np.transpose, np.transpose),
    "convolution": (
        lambda array: np.transpose(array, (2, 1, 0)),
        lambda array: np.transpose(array, (2, 1, 0)),
    ),
    "gain": (lambda array: array.reshape(-1), lambda array: array.reshape(1, 1, -1)),
}


def load_weights(backbone, folder):
    """Load a checkpoint's weights into a backbone.

    Args:
        backbone: a `Wav2Vec2Backbone` of the checkpoint's architecture.
        folder: `pathlib.Path` of the checkpoint.

    Raises:
        FileNotFoundError: if the folder has no weights.
        ValueError: if weights are missing or have another shape, by their names.
    """
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no weights: none of {', '.join(WEIGHT_FILES)}.")
    with reading(path):
        arrays = base_arrays(_read_arrays(path))
    table = checkpoint_variables(backbone)
    # Checkpoints that were never trained with masking lack the mask's vector.
    missing = sorted(table.keys() - arrays.keys() - {"masked_spec_embed"})
    if missing:
        raise ValueError(f"{path} lacks {len(missing)} weights: {', '.join(missing)}.")
    unexpected = sorted(arrays.keys() - table.keys())
    if unexpected:
        warnings.warn(
            f"{path} has {len(unexpected)} weights that the backbone does not use: "
            f"{', '.join(unexpected)}.",
            stacklevel=3,
        )
    with reading(path):
        for name, (variable, layout) in table.items():
            if name not in arrays:
                continue
            array = LAYOUTS[layout][0](arrays[name])
            if array.shape != tuple(variable.shape):
                expected = LAYOUTS[layout][1](np.empty(variable.shape)).shape
                raise ValueError(
                    f"{path}: {name} has shape {arrays[name].shape}; the backbone needs {expected}."
                )
            variable.assign(array.astype("float32"))


def base_arrays(arrays):
    """Keep the encoder's arrays, under names without prefix and one naming of weight norm.

    Args:
        arrays: dict of names, of the base model or of one with heads, to arrays.

    Returns:
        dict of names as in `checkpoint_variables` to arrays; heads, quantizer and counters are
        left out.
    """
    prefix = re.compile(r"^(wav2vec2|hubert)\.")
    if any(prefix.match(name) for name in arrays):
        # Then what has no prefix belongs to a task head.
        arrays = {prefix.sub("", name): a for name, a in arrays.items() if prefix.match(name)}
    heads = re.compile(r"^(lm_head|quantizer|project_hid|project_q|projector|classifier)\b")
    base = {}
    for name, array in arrays.items():
        if heads.match(name) or name.endswith("num_batches_tracked"):
            continue
        name = name.replace(".parametrizations.weight.original0", ".weight_g")
        base[name.replace(".parametrizations.weight.original1", ".weight_v")] = array
    return base


def _read_arrays(path):
    """Read a weight file, or all the shards of an index, into a dict of NumPy arrays."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".bin":
        return _read_torch(path)
    arrays = {}
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ValueError(f"{path} must map weights to shards in `weight_map`.")
    for shard in sorted({str(name) for name in weight_map.values()}):
        # A shard lies beside its index and has the index's format; nothing else is opened.
        if not re.fullmatch(r"[\w\-]+\.(safetensors|bin)", shard):
            raise ValueError(f"{path}: {shard!r} is not the name of a shard beside its index.")
        with reading(path.parent / shard):
            arrays.update(_read_arrays(path.parent / shard))
    return arrays


def _read_safetensors(path):
    """Read a safetensors file; bfloat16 comes as float32."""
    from safetensors.numpy import load_file

    return load_file(path)


def _read_torch(path):
    """Read a PyTorch file without running any code that it may hold."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs PyTorch; install it, or convert the checkpoint to safetensors."
        ) from error
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def save(backbone, folder):
    """Write config, weights and preprocessor config of a backbone; see `to_transformers`."""
    from safetensors.numpy import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for name, (variable, layout) in checkpoint_variables(backbone).items():
        array = ops.convert_to_numpy(variable.value).astype("float32")
        arrays[name] = np.ascontiguousarray(LAYOUTS[layout][1](array))
    if backbone.positional_batch_norm:
        # A counter that PyTorch's batch norm keeps and, with a momentum, does not use.
        counter = np.zeros((), "int64")
        arrays["encoder.pos_conv_embed.batch_norm.num_batches_tracked"] = counter
    # transformers refuses a safetensors file that does not say which library's layout it has.
    write_atomically(folder / SAFETENSORS_FILE, save(arrays, metadata={"format": "pt"}))
    for name, content in (
        (PREPROCESSOR_FILE, preprocessor_config(backbone)),
        (CONFIG_FILE, reference_config(backbone)),
    ):
        write_atomically(folder / name, json.dumps(content, indent=2, sort_keys=True) + "\n")
