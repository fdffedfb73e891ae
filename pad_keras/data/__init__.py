"""Corpora and tf.data pipelines."""

from pad_keras import gpus
from pad_keras.data.audio import SAMPLE_RATE, decode_audio, tensorflow_io_works
from pad_keras.data.audio_snips import audio_snips
from pad_keras.data.batch_plan import BatchPlan
from pad_keras.data.decodable import decodable
from pad_keras.data.few_shot import few_shot
from pad_keras.data.fingerprints import StaleCacheError
from pad_keras.data.fluent_speech_commands import fluent_speech_commands
from pad_keras.data.hidden_states import HiddenStateCache, bytes_needed
from pad_keras.data.iemocap import EMOTIONS, iemocap, iemocap_fold
from pad_keras.data.labels import label_ids, label_names, slot_targets
from pad_keras.data.librispeech import balanced_part, librispeech
from pad_keras.data.pipeline import (
    batch_order,
    batches_per_epoch,
    padding_share,
    pipeline,
    within_seconds,
)
from pad_keras.data.problems import BadInputError, bad_input_explained
from pad_keras.data.teacher_cache import TeacherCache
from pad_keras.data.text import TextTokenizer
from pad_keras.data.utterance import (
    Utterance,
    WordTime,
    check_disjoint_speakers,
    total_hours,
)

gpus.leave_to_backend()

__all__ = [
    "BadInputError",
    "BatchPlan",
    "EMOTIONS",
    "HiddenStateCache",
    "SAMPLE_RATE",
    "StaleCacheError",
    "TeacherCache",
    "TextTokenizer",
    "Utterance",
    "WordTime",
    "audio_snips",
    "bad_input_explained",
    "balanced_part",
    "batch_order",
    "batches_per_epoch",
    "bytes_needed",
    "check_disjoint_speakers",
    "decodable",
    "decode_audio",
    "few_shot",
    "fluent_speech_commands",
    "iemocap",
    "iemocap_fold",
    "label_ids",
    "label_names",
    "librispeech",
    "padding_share",
    "pipeline",
    "slot_targets",
    "tensorflow_io_works",
    "total_hours",
    "within_seconds",
]
