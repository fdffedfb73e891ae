"""Distillation runs: their configurations, the run itself, and its report."""
