import pytest

from experiments.comparison import run


@pytest.fixture(autouse=True)
def no_compilations_are_kept(monkeypatch):
    """JAX opens its cache once a process: a test's folder would serve all tests after it."""
    monkeypatch.setattr(run, "keep_compilations", lambda folder: None)
