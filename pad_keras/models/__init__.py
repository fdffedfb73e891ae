"""Encoders and the model that distils one into another."""

from pad_keras.models.alignment_distiller import AlignmentDistiller
from pad_keras.models.text_teacher import TextTeacher
from pad_keras.models.wav2vec2.backbone import Wav2Vec2Backbone

__all__ = ["AlignmentDistiller", "TextTeacher", "Wav2Vec2Backbone"]
