"""The process that exports for JAX and torch: `python -m pad_keras.export MODEL.keras FOLDER`."""

import sys

import keras

from pad_keras.export import export_saved_model

if __name__ == "__main__":
    _, _model, _path = sys.argv
    export_saved_model(keras.models.load_model(_model), _path, overwrite=True)
