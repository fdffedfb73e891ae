"""Encoders, the model that distils one into another, and heads for understanding speech."""

from pad_keras.models.alignment_distiller import AlignmentDistiller
from pad_keras.models.pretraining.contrastive import ContrastiveModel
from pad_keras.models.pretraining.masked_prediction import MaskedPredictionModel
from pad_keras.models.slot_filler import SlotFiller
from pad_keras.models.slot_vocabulary import SlotVocabulary
from pad_keras.models.speech_task import superb_optimizer
from pad_keras.models.text_teacher import TextTeacher
from pad_keras.models.utterance_classifier import UtteranceClassifier
from pad_keras.models.wav2vec2.backbone import Wav2Vec2Backbone
from pad_keras.models.wav2vec2.front_end import FrontEnd

__all__ = [
    "AlignmentDistiller",
    "ContrastiveModel",
    "FrontEnd",
    "MaskedPredictionModel",
    "SlotFiller",
    "SlotVocabulary",
    "TextTeacher",
    "UtteranceClassifier",
    "Wav2Vec2Backbone",
    "superb_optimizer",
]
