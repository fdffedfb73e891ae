"""The embedded corpora and the scripts that make them."""
