"""Scripts that a person runs; each answers `--help`."""
