"""The process that exports for JAX and torch: `python -m pad_keras.export MODEL.keras FOLDER`."""

import argparse

import keras

from pad_keras.export import export_saved_model

if __name__ == "__main__":
    _parser = argparse.ArgumentParser(
        prog="python -m pad_keras.export",
        description="Write a model as a SavedModel; call it with KERAS_BACKEND=tensorflow.",
    )
    _parser.add_argument("model", metavar="MODEL.keras", help="a model of pad_keras, saved")
    _parser.add_argument("folder", metavar="FOLDER", help="is replaced, if it is there")
    _given = _parser.parse_args()
    export_saved_model(keras.models.load_model(_given.model), _given.folder, overwrite=True)
