"""Write an encoder as a preset that is small enough to be tracked.

    python -m experiments.pretraining.compact runs/pretraining/encoder saved_models/mini-hubert

Weights become 16-bit floats with 8 significant bits, those of bfloat16, and are packed losslessly;
HDF5 unpacks them by itself, so `from_preset` reads the preset like any other, into float32.
"""

import dataclasses
import pathlib

import h5py
import numpy as np
import tyro

from pad_keras.files import replaced_folder
from pad_keras.models import Wav2Vec2Backbone

_FLOAT16_BITS = 11
_WEIGHTS = "model.weights.h5"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to pack."""

    encoder: tyro.conf.Positional[pathlib.Path]
    """Preset's folder."""
    folder: tyro.conf.Positional[pathlib.Path]
    """Folder to write; what is there is replaced."""
    significant_bits: int = 8
    """Of each weight; 11 keeps all that 16 bits hold."""


def compact(encoder, folder, significant_bits=8):
    """Write an encoder as a small preset.

    Args:
        encoder: `Wav2Vec2Backbone`.
        folder: path; what is there is replaced, but for a model card (`README.md`).
        significant_bits: int, 1 to 11.

    Raises:
        ValueError: if `significant_bits` is out of range, or a weight exceeds 16-bit floats.
    """
    folder = pathlib.Path(folder)
    card = folder / "README.md"
    text = card.read_text() if card.is_file() else None
    with replaced_folder(folder) as partial:
        encoder.save_to_preset(str(partial))
        weights = partial / _WEIGHTS
        packed = weights.with_suffix(".packed")
        with h5py.File(weights) as source, h5py.File(packed, "w") as target:
            _pack(source, target, significant_bits)
        packed.replace(weights)
        if text is not None:
            (partial / card.name).write_text(text)


def rounded(values, significant_bits):
    """Round to 16-bit floats with fewer significant bits.

    Args:
        values: float array.
        significant_bits: int, 1 to 11.

    Returns:
        float16 array.

    Raises:
        ValueError: if `significant_bits` is out of range, or a value exceeds 16-bit floats.

    Example:

    ```python
    rounded(np.float32([1.001, 3.14159]), significant_bits=8)  # [1.0, 3.140625]
    ```
    """
    if not 1 <= significant_bits <= _FLOAT16_BITS:
        raise ValueError(f"`significant_bits` must be in 1..11, got {significant_bits}.")
    mantissa, exponent = np.frexp(np.asarray(values, "float64"))
    scale = 2.0**significant_bits
    found = np.ldexp(np.rint(mantissa * scale) / scale, exponent)
    with np.errstate(over="ignore"):
        found = found.astype("float16")
    if not np.isfinite(found).all():
        raise ValueError("A weight is not finite, or exceeds 65504, the largest 16-bit float.")
    return found


def _pack(source, target, significant_bits):
    """Copy an HDF5 file, its float32 datasets rounded and compressed."""
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name, node in source.items():
        if isinstance(node, h5py.Group):
            _pack(node, target.create_group(name), significant_bits)
            continue
        values = node[()]
        if values.dtype == np.float32:
            values = rounded(values, significant_bits)
        options = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        dataset = target.create_dataset(name, data=values, **(options if values.ndim else {}))
        for attribute, value in node.attrs.items():
            dataset.attrs[attribute] = value


if __name__ == "__main__":
    given = tyro.cli(Settings, description=__doc__)
    backbone = Wav2Vec2Backbone.from_preset(str(given.encoder))
    compact(backbone, given.folder, given.significant_bits)
