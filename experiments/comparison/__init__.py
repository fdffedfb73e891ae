"""Comparisons of distilled encoders: the grid of runs, its statistics, tables and figures."""
