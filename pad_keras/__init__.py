"""pad-keras: Prior-informed Adaptive knowledge Distillation (PAD) in Keras 3."""

import importlib

__version__ = "0.1.0"

# Loaded on first use: data, callbacks and export need TensorFlow, which a JAX or torch user who
# only wants the models and losses should not pay for.
_SUBMODULES = (
    "callbacks",
    "data",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
)


def __getattr__(name):
    """Import submodules and `export_saved_model` on first access."""
    if name in _SUBMODULES:
        return importlib.import_module(f"pad_keras.{name}")
    if name == "export_saved_model":
        return importlib.import_module("pad_keras.export").export_saved_model
    raise AttributeError(f"module 'pad_keras' has no attribute {name!r}")


def __dir__():
    """List the lazily loaded names too."""
    return sorted([*globals(), *_SUBMODULES, "export_saved_model"])
