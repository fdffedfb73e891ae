"""Benchmarks: each a command with a table and JSON, side by side in one run."""
