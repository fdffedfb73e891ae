"""Several processes on one machine that train one model."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from experiments import processes
from experiments.distillation.configuration import Configuration, Data, Student, Training
from experiments.distillation.methods import METHODS
from experiments.distillation.run import distill
from experiments.locks import BusyError, alone_in
from experiments.pretraining.run import pretrain
from experiments.understanding.configuration import Understanding
from experiments.understanding.run import understand
from experiments.understanding.summaries import ValidationAnswers
from pad_keras import callbacks
from tests.backend import BACKEND
from tests.experiments.small_run import (
    check_same_runs,
    killed_in_the_second_epoch,
    small_pretraining,
    write_inputs,
)
from tests.small import speech_student

METHOD, COUNT = "joint", 2
ON_JAX = pytest.mark.skipif(BACKEND != "jax", reason="processes train together on JAX alone")


@pytest.fixture
def configuration(tmp_path):
    """A distillation with dropout, of batches that the processes can share."""
    dropout = {"hidden_dropout": 0.1, "mask_time_prob": 0.1, "mask_time_length": 2}
    write_inputs(tmp_path, train=2, valid=1, test=1, **dropout)
    return Configuration(
        name="whole",
        data=Data(root=tmp_path / "speech"),
        objective=METHODS[METHOD][1],
        student=Student(preset=str(tmp_path / "student")),
        training=Training(epochs=2, batch_size=4, learning_rate=2e-3),
        out=tmp_path,
        pictures=1,
    )


def command(configuration):
    """The command line of a configuration, for all processes."""
    training = configuration.training
    return [
        *(sys.executable, "-m", "experiments.distill", METHOD),
        *("--name", configuration.name, "--out", str(configuration.out)),
        *("--data.root", str(configuration.data.root)),
        *("--student.preset", configuration.student.preset),
        *("--training.epochs", str(training.epochs)),
        *("--training.batch-size", str(training.batch_size)),
        *("--training.learning-rate", str(training.learning_rate)),
        *("--training.devices", str(COUNT), "--pictures", str(configuration.pictures)),
    ]


def run_together(arguments):
    """Run a command in several processes, and return what each printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        # One device a process.
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(COUNT),
    }
    started = [
        subprocess.Popen(
            arguments,
            env={**environment, "KERAS_DISTRIBUTION_PROCESS_ID": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(COUNT)
    ]
    try:
        told = [process.communicate()[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * COUNT, "\n".join(told)
    return told


def results_of(settings):
    return json.loads((settings.folder / "results.json").read_text())


@ON_JAX
def test_processes_go_on_to_what_one_comes_to(configuration):
    whole = distill(configuration)
    killed = dataclasses.replace(configuration, name="killed")
    with killed_in_the_second_epoch(callbacks.TrainingSummary, "on_epoch_begin"):
        distill(killed)
    told = run_together(command(killed))
    assert all("1 of 2 epochs are done" in text for text in told)
    together = results_of(killed)
    check_same_runs(together, whole, killed.folder, configuration.folder)


@ON_JAX
def test_processes_go_on_with_a_head(tmp_path):
    encoder = tmp_path / "encoder"
    speech_student(dim=32).save_to_preset(str(encoder))
    settings = Understanding(
        "ic", encoder=str(encoder), learning_rates=(1e-2,), name="whole", out=tmp_path, tiny=True
    )
    whole = understand(settings)
    killed = dataclasses.replace(settings, name="killed")
    with killed_in_the_second_epoch(ValidationAnswers, "on_epoch_end"):
        understand(killed)
    run_together(
        [
            *(sys.executable, "-m", "experiments.slu", "ic", "--tiny", "--name", killed.name),
            *("--encoder", killed.encoder, "--learning-rates", "1e-2", "--out", str(killed.out)),
            *("--devices", str(COUNT)),
        ]
    )
    (together,), (alone,) = (one["heads"].values() for one in (results_of(killed), whole))
    for found, expected in zip(together["history"], alone["history"], strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert together["test"] == alone["test"]


@ON_JAX
def test_processes_pretrain_what_one_does(tmp_path):
    settings = small_pretraining(tmp_path)
    whole = pretrain(settings)
    together = dataclasses.replace(settings, name="together")
    noise = settings.augmentation
    run_together(
        [
            *(sys.executable, "-m", "experiments.pretrain", "--name", together.name),
            *("--audio", *map(str, settings.audio), "--valid", *map(str, settings.valid)),
            *("--student", settings.student, "--out", str(settings.out)),
            *("--clusters", *map(str, settings.clusters), "--layers", *map(str, settings.layers)),
            *("--steps", *map(str, settings.steps)),
            *("--steps-per-epoch", str(settings.steps_per_epoch)),
            *("--batch-seconds", str(settings.batch_seconds), "--devices", str(COUNT)),
            *("--augmentation.speeds", *map(str, noise.speeds)),
            *("--augmentation.noise", str(noise.noise)),
            *("--augmentation.reverberation", str(noise.reverberation)),
        ]
    )
    for stage, expected in zip(results_of(together)["history"], whole["history"], strict=True):
        for logs, wanted in zip(stage, expected, strict=True):
            assert logs == pytest.approx(wanted, rel=1e-4)


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: COUNT)
    monkeypatch.setattr(processes, "_index", lambda: 1)
    monkeypatch.setattr(processes, "_wait_for_all", lambda: None)


def test_each_process_computes_its_rows(second_of_two):
    batch = {"a": tf.reshape(tf.range(8), (4, 2)), "b": {"c": tf.constant([5, 6, 7, 8])}}
    (found,) = processes.own_rows(tf.data.Dataset.from_tensors(batch))
    assert found["a"].numpy().tolist() == [[4, 5], [6, 7]]
    assert found["b"]["c"].numpy().tolist() == [7, 8]
    pairs = tf.data.Dataset.from_tensors((batch, {"d": tf.constant([1, 2, 3, 4])}))
    ((inputs, targets),) = processes.own_rows(pairs)
    assert inputs["b"]["c"].numpy().tolist() == [7, 8]
    assert targets["d"].numpy().tolist() == [3, 4]


def test_one_process_computes_all_rows():
    batches = tf.data.Dataset.range(3)
    assert processes.own_rows(batches) is batches


def test_only_the_first_process_writes_into_the_runs_folder(tmp_path, second_of_two):
    folder = tmp_path / "run"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "state.npz").write_text("x")
    # The first one is at work there meanwhile.
    with alone_in(folder), processes.written_by_the_first(folder, ("state", "student")) as own:
        assert own != folder
        assert (own / "state" / "state.npz").read_text() == "x"
        assert not (own / "student").exists()
        (own / "state" / "state.npz").write_text("y")
    assert not own.exists()
    assert (folder / "state" / "state.npz").read_text() == "x"


def test_a_single_process_is_the_first(tmp_path):
    with processes.written_by_the_first(tmp_path / "run", ()) as own:
        assert own == tmp_path / "run"
        with pytest.raises(BusyError), processes.written_by_the_first(own, ()):
            pass


def test_joining_says_what_would_do(monkeypatch):
    processes.join()
    assert processes.count() == 1
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    if BACKEND != "jax":
        with pytest.raises(ValueError, match="is 2, .* set KERAS_BACKEND=jax, or unset it"):
            processes.join()
