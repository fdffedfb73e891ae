"""Pretraining of a speech encoder on anybody's audio. Needs no TensorFlow."""
