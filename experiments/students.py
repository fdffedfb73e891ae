"""The speech encoder that experiments start from."""

import pathlib

# Pretrained by experiments.pretrain; its README.md is the model card.
PRETRAINED = str(pathlib.Path(__file__).parents[1] / "saved_models" / "mini-hubert")
