"""Keras layers of PAD and of SUPERB's evaluation."""

from pad_keras.layers.anchor_span_pooling import AnchorSpanPooling
from pad_keras.layers.bidirectional_lstm import BidirectionalLSTM
from pad_keras.layers.feature_spec_augment import FeatureSpecAugment
from pad_keras.layers.gumbel_quantizer import GumbelQuantizer
from pad_keras.layers.significance_prior import SignificancePrior
from pad_keras.layers.weighted_layer_sum import WeightedLayerSum

__all__ = [
    "AnchorSpanPooling",
    "BidirectionalLSTM",
    "FeatureSpecAugment",
    "GumbelQuantizer",
    "SignificancePrior",
    "WeightedLayerSum",
]
