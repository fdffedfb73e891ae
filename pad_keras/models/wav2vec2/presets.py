"""Named sizes of the wav2vec 2.0 architecture; the weights are random."""

ARCHITECTURES = {
    # Our choice: trains on two CPU cores (6.4 M parameters), as wide as the embedded teacher.
    "mini": {
        "conv_filters": (128,) * 7,
        "conv_norm": "layer",
        "hidden_dim": 384,
        "num_layers": 4,
        "num_heads": 6,
        "intermediate_dim": 1024,
        "positional_kernel": 64,
        "norm_first": True,
        "normalize_waveform": True,
    },
    # wav2vec 2.0 (arXiv 2006.11477), section 4.2: base.
    "base": {
        "hidden_dim": 768,
        "num_layers": 12,
        "num_heads": 12,
        "intermediate_dim": 3072,
    },
    # Large, in the "stable layer norm" form of the LV-60 checkpoints.
    "large": {
        "conv_norm": "layer",
        "conv_bias": True,
        "hidden_dim": 1024,
        "num_layers": 24,
        "num_heads": 16,
        "intermediate_dim": 4096,
        "norm_first": True,
        "normalize_waveform": True,
    },
}
