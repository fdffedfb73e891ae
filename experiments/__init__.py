"""Scripts that a person runs; each answers `--help`."""

import logging
import os

# TensorFlow's notes on the machine would bury what a run prints.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Each head of a sweep is traced anew, as it must be; TensorFlow takes that for a mistake.
logging.getLogger("tensorflow").addFilter(
    lambda record: "tf.function retracing" not in record.getMessage()
)
