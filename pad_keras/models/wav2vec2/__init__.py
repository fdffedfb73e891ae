"""wav2vec 2.0 and HuBERT."""

from pad_keras.models.wav2vec2.backbone import Wav2Vec2Backbone

__all__ = ["Wav2Vec2Backbone"]
