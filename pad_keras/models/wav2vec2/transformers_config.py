"""Configuration files of the transformers library for wav2vec 2.0 and HuBERT."""

from pad_keras.models.reading import read_json, reading
from pad_keras.models.wav2vec2.arguments import check_flags, check_positive

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
SAMPLE_RATE = 16000
REFERENCE_MASK_TIME_PROB = 0.05

# Our argument: the reference's key. What follows this table has a rule of its own.
CONFIG_KEYS = {
    "model_type": "model_type",
    "conv_filters": "conv_dim",
    "conv_kernels": "conv_kernel",
    "conv_strides": "conv_stride",
    "conv_norm": "feat_extract_norm",
    "conv_bias": "conv_bias",
    "hidden_dim": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "positional_kernel": "num_conv_pos_embeddings",
    "positional_groups": "num_conv_pos_embedding_groups",
    "norm_first": "do_stable_layer_norm",
    "layer_norm_epsilon": "layer_norm_eps",
    "hidden_dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "feature_projection_dropout": "feat_proj_dropout",
    "layer_drop": "layerdrop",
    "mask_time_prob": "mask_time_prob",
    "mask_time_length": "mask_time_length",
    "mask_feature_prob": "mask_feature_prob",
    "mask_feature_length": "mask_feature_length",
}
HUBERT_KEYS = {
    "feature_projection_norm": "feat_proj_layer_norm",
    "positional_batch_norm": "conv_pos_batch_norm",
}
# What the reference's configuration classes assume where config.json is silent.
REFERENCE_DEFAULTS = {
    "conv_dim": (512,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "feat_extract_norm": "group",
    "conv_bias": False,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "layer_norm_eps": 1e-5,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.1,
    "mask_time_prob": REFERENCE_MASK_TIME_PROB,
    "mask_time_length": 10,
    "mask_feature_prob": 0.0,
    "mask_feature_length": 10,
    "apply_spec_augment": True,
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
}
# Keys whose other values would change the computation, and the values that we compute.
SUPPORTED_VALUES = {
    "hidden_act": ("gelu",),
    "feat_extract_activation": ("gelu",),
    "feat_extract_norm": ("group", "layer"),
    "add_adapter": (False, None),
    "adapter_attn_dim": (None,),
}


def read_config(folder):
    """Translate `config.json` (and `preprocessor_config.json`) to constructor arguments.

    Args:
        folder: `pathlib.Path` of the checkpoint.

    Returns:
        dict of arguments of `Wav2Vec2Backbone`.

    Raises:
        ValueError: if the checkpoint needs what the backbone does not compute, or a value is of
            the wrong kind, by its key.
    """
    path = folder / CONFIG_FILE
    config = read_json(path)
    for key, supported in SUPPORTED_VALUES.items():
        if key in config and config[key] not in supported:
            raise ValueError(
                f"{path}: `{key}` is {config[key]!r}; Wav2Vec2Backbone computes only "
                f"{' or '.join(repr(value) for value in supported)}."
            )
    values = {**REFERENCE_DEFAULTS, **config}
    keys = dict(CONFIG_KEYS)
    if config["model_type"] == "hubert":
        keys.update(HUBERT_KEYS)
    read = (*keys.values(), "apply_spec_augment")
    with reading(path):
        check_positive(layer_norm_eps=values["layer_norm_eps"])
        check_flags(**{k: values[k] for k in read if isinstance(REFERENCE_DEFAULTS.get(k), bool)})
    arguments = {name: values[key] for name, key in keys.items()}
    if not values["apply_spec_augment"]:
        arguments["mask_time_prob"] = arguments["mask_feature_prob"] = 0.0
    preprocessor = folder / PREPROCESSOR_FILE
    if preprocessor.is_file():
        arguments["normalize_waveform"] = _read_normalisation(preprocessor)
    return arguments


def _read_normalisation(path):
    """Whether a checkpoint wants waveforms normalised; another sampling rate is refused."""
    settings = read_json(path)
    rate = settings.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ValueError(
            f"{path}: `sampling_rate` is {rate!r}; Wav2Vec2Backbone takes audio of {SAMPLE_RATE} "
            "Hz only."
        )
    normalise = settings.get("do_normalize", True)  # The reference's default.
    with reading(path):
        check_flags(do_normalize=normalise)
    return normalise


def reference_config(backbone):
    """`config.json` of a backbone, as a dict."""
    keys = dict(CONFIG_KEYS)
    if backbone.model_type == "hubert":
        keys.update(HUBERT_KEYS)
    config = {key: getattr(backbone, name) for name, key in keys.items()}
    masks = backbone.mask_time_prob > 0 or backbone.mask_feature_prob > 0
    if not masks:
        # The reference makes room for the mask's vector only if a probability is positive.
        config["mask_time_prob"] = REFERENCE_MASK_TIME_PROB
    is_hubert = backbone.model_type == "hubert"
    return {
        "architectures": ["HubertModel" if is_hubert else "Wav2Vec2Model"],
        **config,
        "apply_spec_augment": masks,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "num_feat_extract_layers": len(backbone.conv_filters),
        "torch_dtype": "float32",
    }


def preprocessor_config(backbone):
    """`preprocessor_config.json` of a backbone, as a dict."""
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": backbone.normalize_waveform,
        # The reference passes no mask to models with a group norm.
        "return_attention_mask": backbone.conv_norm == "layer",
    }
