import signal
import subprocess
import sys
import threading

import pytest

from experiments.distillation.configuration import Configuration
from experiments.distillation.run import distill
from experiments.locks import BusyError, alone_in, one_after_another
from experiments.pretraining.configuration import Pretraining
from experiments.pretraining.run import pretrain
from experiments.understanding.configuration import Understanding
from experiments.understanding.run import understand


def test_a_folder_is_one_process_at_a_time(tmp_path):
    folder = tmp_path / "runs" / "a"
    with alone_in(folder):
        refused = pytest.raises(BusyError, match=f"at work in {folder}; wait .* --name or --out")
        with refused, alone_in(folder):
            pass
        with alone_in(tmp_path / "runs" / "b"):
            pass
    with alone_in(folder):
        pass


def test_an_error_inside_is_passed_on_and_frees_the_folder(tmp_path):
    with pytest.raises(ValueError, match="broken"), alone_in(tmp_path):
        raise ValueError("broken")
    with alone_in(tmp_path):
        pass


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    script = (
        "import sys, time; from experiments.locks import alone_in\n"
        "with alone_in(sys.argv[1]): print('in', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "in\n"
            with pytest.raises(BusyError), alone_in(tmp_path):
                pass
        finally:
            process.send_signal(signal.SIGKILL)
    with alone_in(tmp_path):
        pass


def test_one_waits_for_another(tmp_path):
    order, started = [], threading.Event()

    def second():
        started.set()
        with one_after_another(tmp_path / "states"):
            order.append("second")

    thread = threading.Thread(target=second)
    with one_after_another(tmp_path / "states"):
        thread.start()
        started.wait()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("run", "configuration"),
    [
        (distill, Configuration),
        (understand, lambda **where: Understanding("ic", encoder="mini", **where)),
        (pretrain, Pretraining),
    ],
)
def test_a_run_refuses_a_folder_that_is_worked_in(run, configuration, tmp_path):
    settings = configuration(out=tmp_path, name="busy")
    with alone_in(settings.folder), pytest.raises(BusyError, match="busy"):
        run(settings)
