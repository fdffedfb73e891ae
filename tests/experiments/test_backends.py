import os
import subprocess
import sys

import pytest

from pad_keras.gpus import has_accelerator
from tests.backend import BACKEND

# A process of its own: JAX opens its cache once, and other tests may have.
COMPILE = """
import sys, jax
from experiments import backends
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
if sys.argv[2] == "accelerator":
    backends.has_accelerator = lambda: True
backends.keep_compilations(sys.argv[1])
print(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((3, 3))))
"""


def compile_in(folder, device="accelerator", **environment):
    command = [sys.executable, "-c", COMPILE, str(folder), device]
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": "", **environment}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX alone keeps what it compiled")
def test_what_jax_compiled_is_kept_where_the_user_wants_it(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert "27.0" in compile_in(ours).stdout
    assert list(ours.iterdir())
    compile_in(tmp_path / "unused", JAX_COMPILATION_CACHE_DIR=str(theirs))
    assert list(theirs.iterdir())
    assert not (tmp_path / "unused").exists()


@pytest.mark.skipif(BACKEND != "jax" or has_accelerator(), reason="JAX on a processor")
def test_a_processor_keeps_nothing(tmp_path):
    assert "27.0" in compile_in(tmp_path / "ours", device="processor").stdout
    assert not (tmp_path / "ours").exists()
