"""Scripts that a person runs; each answers `--help`."""

import os

# TensorFlow's notes on the machine would bury what a run prints.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
