"""Pretraining of a speech encoder, without labels or text."""
