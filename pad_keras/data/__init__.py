"""Corpora and tf.data pipelines."""

from pad_keras.data.audio import SAMPLE_RATE, decode_audio, tensorflow_io_works
from pad_keras.data.batch_plan import BatchPlan
from pad_keras.data.decodable import decodable
from pad_keras.data.librispeech import librispeech
from pad_keras.data.pipeline import (
    batch_order,
    batches_per_epoch,
    padding_share,
    pipeline,
    within_seconds,
)
from pad_keras.data.problems import BadInputError, bad_input_explained
from pad_keras.data.teacher_cache import StaleCacheError, TeacherCache
from pad_keras.data.text import TextTokenizer
from pad_keras.data.utterance import (
    Utterance,
    WordTime,
    check_disjoint_speakers,
    total_hours,
)

__all__ = [
    "SAMPLE_RATE",
    "BadInputError",
    "BatchPlan",
    "StaleCacheError",
    "TeacherCache",
    "TextTokenizer",
    "Utterance",
    "WordTime",
    "bad_input_explained",
    "batch_order",
    "batches_per_epoch",
    "check_disjoint_speakers",
    "decodable",
    "decode_audio",
    "librispeech",
    "padding_share",
    "pipeline",
    "tensorflow_io_works",
    "total_hours",
    "within_seconds",
]
