"""Small variants of wav2vec 2.0 and HuBERT, ours and the reference implementation's."""

SMALL = {
    "conv_dim": (12, 12, 16),
    "conv_kernel": (10, 3, 2),
    "conv_stride": (5, 2, 2),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_length": 2,
}
LARGE_LIKE = {"feat_extract_norm": "layer", "conv_bias": True}
# Seven convolutions of the true sizes, an odd positional kernel, every other setting moved too.
VARIANTS = {
    "wav2vec2-base": ("wav2vec2", {}),
    "wav2vec2-large": ("wav2vec2", {**LARGE_LIKE, "do_stable_layer_norm": True}),
    "wav2vec2-layer-postnorm": ("wav2vec2", LARGE_LIKE),
    "wav2vec2-group-prenorm-odd": (
        "wav2vec2",
        {
            "do_stable_layer_norm": True,
            "num_conv_pos_embeddings": 7,
            "layer_norm_eps": 1e-3,
            "conv_dim": (8,) * 7,
            "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
            "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        },
    ),
    "hubert-base": ("hubert", {}),
    "hubert-no-projection-norm": ("hubert", {"feat_proj_layer_norm": False}),
    "hubert-large": ("hubert", {**LARGE_LIKE, "do_stable_layer_norm": True}),
    "hubert-batch-norm": ("hubert", {"conv_pos_batch_norm": True}),
}


def build_reference(variant):
    """A transformers model of a variant whose every weight is random, in evaluation mode."""
    import torch
    import transformers

    model_type, changes = VARIANTS[variant]
    is_hubert = model_type == "hubert"
    config_class = transformers.HubertConfig if is_hubert else transformers.Wav2Vec2Config
    model_class = transformers.HubertModel if is_hubert else transformers.Wav2Vec2Model
    torch.manual_seed(7)
    model = model_class(config_class(**{**SMALL, **changes}, attn_implementation="eager"))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype == torch.float32:
                # Norms and biases start as ones and zeros, which would hide a swap.
                scale = 0.1 if value.ndim > 1 else 0.3
                value += scale * torch.randn_like(value) * value.abs().mean().clamp(min=0.1)
                if name.endswith(("running_var", "weight_g", "original0")):
                    value.abs_().clamp_(min=0.2)
    return model.eval()


SMALL_ARGUMENTS = {
    "conv_filters": (12, 12, 16),
    "conv_kernels": (10, 3, 2),
    "conv_strides": (5, 2, 2),
    "hidden_dim": 32,
    "num_layers": 2,
    "num_heads": 4,
    "intermediate_dim": 40,
    "positional_kernel": 8,
    "positional_groups": 4,
}
