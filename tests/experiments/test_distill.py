import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments import memory
from experiments.distillation.configuration import (
    EMBEDDED_CORPUS,
    Configuration,
    Data,
    Objective,
    Student,
    Teacher,
    Training,
)
from experiments.distillation.corpora import read_corpora
from experiments.distillation.parts import build_distiller, build_teacher
from experiments.distillation.report import comparison, print_report
from experiments.distillation.run import distill
from experiments.results import corpus_hash
from experiments.understanding.configuration import EMBEDDED_CORPORA, Understanding
from experiments.understanding.corpora import read_splits
from pad_keras import callbacks, data
from pad_keras.data import BadInputError, TextTokenizer, total_hours
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND, DEVICES, MOST_DEVICES
from tests.data.corpus import write_corpus
from tests.experiments.small_run import check_same_runs, write_inputs
from tests.small import utterances


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A configuration on a small tree and a small student with dropout."""
    root = tmp_path_factory.mktemp("runs")
    dropout = {"hidden_dropout": 0.1, "mask_time_prob": 0.1, "mask_time_length": 2}
    write_inputs(root, train=3, valid=2, test=1, **dropout)
    return Configuration(
        name="run",
        data=Data(root=root / "speech"),
        objective=Objective(("global", "span"), (0.01, 1.0)),
        student=Student(preset=str(root / "student")),
        training=Training(epochs=3, batch_size=4, learning_rate=2e-3),
        out=root,
        pictures=1,
    )


@pytest.fixture(scope="module")
def whole(base):
    return distill(base)


def test_a_run_leaves_everything_that_it_says(base, whole, capsys):
    assert json.loads((base.folder / "results.json").read_text()) == whole
    kept = json.loads((base.folder / "configuration.json").read_text())
    assert kept["training"]["learning_rate"] == 2e-3
    assert kept["versions"]["keras"]
    assert [logs["epoch"] for logs in whole["history"]] == [-1, 0, 1, 2]
    assert whole["history"][-1]["val_loss"] < whole["history"][0]["val_loss"]
    assert whole["utterances"] == {"train": 12, "valid": 8, "test": 4}
    assert whole["corpus"] == {
        name: corpus_hash(utterances) for name, utterances in read_corpora(base.data).items()
    }
    measures = {"loss", "global_alignment", "span_alignment", "recall_at_1", "recall_at_10"}
    assert whole["test"].keys() == measures
    assert Wav2Vec2Backbone.from_preset(str(base.folder / "student")).hidden_dim == 24
    assert keras.utils.load_img(base.folder / "alignment.png").size == (1200, 700)
    tags = EventAccumulator(str(base.folder / "tensorboard")).Reload().Tags()
    assert {"train/gradient_norm", "epoch/val_recall_at_1"} <= set(tags["tensors"])
    rows = {row[0]: row[1:] for row in comparison(whole)}
    assert rows["alignment loss"][0] == whole["history"][0]["val_loss"]
    assert rows["recall@1"][2] == 1 / 8
    print_report(whole, base.folder)
    assert "recall@10" in capsys.readouterr().out


def test_a_run_from_audio_is_the_same_as_from_frames(base, whole):
    assert list((base.out / "frames").glob("*-float32/??/*.bin"))
    training = dataclasses.replace(base.training, cache_frames=False)
    from_audio = distill(dataclasses.replace(base, name="audio", training=training))
    for found, expected in zip(from_audio["history"], whole["history"], strict=True):
        # Not recall: with speech as alike as these tones, rounding decides ranks.
        losses = {name: value for name, value in expected.items() if "loss" in name}
        assert losses
        for name, value in losses.items():
            assert found[name] == pytest.approx(value, rel=1e-3)


def test_all_batches_of_a_run_are_padded_to_as_many_lengths_as_asked_for(base, monkeypatch):
    given, pipeline = [], data.pipeline

    def noting(*arguments, **options):
        given.append(options["buckets"])
        return pipeline(*arguments, **options)

    monkeypatch.setattr(data, "pipeline", noting)
    training = dataclasses.replace(base.training, buckets=2, epochs=1)
    distill(dataclasses.replace(base, name="buckets", training=training, pictures=0))
    # Training; validation and test from frames and from audio.
    assert given == [2] * 5


def test_a_front_end_that_is_trained_is_not_cached(base, tmp_path):
    student = dataclasses.replace(base.student, freeze_feature_encoder=False)
    training = dataclasses.replace(base.training, epochs=1)
    trained = dataclasses.replace(base, out=tmp_path, student=student, training=training)
    distill(trained)
    assert not (tmp_path / "frames").exists()
    before, after = (
        Wav2Vec2Backbone.from_preset(str(path)).feature_encoder.get_weights()[0]
        for path in (base.student.preset, trained.folder / "student")
    )
    assert np.abs(after - before).max() > 0


def test_training_utterances_of_tasks_are_distilled_on_too(base):
    embedded = Data(
        root=EMBEDDED_CORPUS, task_roots=(EMBEDDED_CORPORA["ic"], EMBEDDED_CORPORA["sf"])
    )
    corpora = read_corpora(embedded)
    assert len(corpora["train"]) == 440 + 400 + 400
    tasks = [read_splits(Understanding(task))[None] for task in ("ic", "sf")]
    tested = {u.audio for task in tasks for u in (*task.valid, *task.test)}
    assert not tested & {u.audio for u in corpora["train"]}
    assert {len(corpora[name]) for name in ("valid", "test")} == {80}
    hours = read_corpora(dataclasses.replace(embedded, hours=0.1))["train"]
    assert 0.1 <= total_hours(hours) < 0.11
    assert {u.audio for u in hours} < {u.audio for u in corpora["train"]}
    roots = {str(u.audio).split("corpora/")[1].split("/")[0] for u in hours}
    assert roots == {"alignment", "intents", "slots"}


def test_a_task_of_an_unknown_layout_is_named(base, tmp_path):
    with pytest.raises(ValueError, match="task_roots.*neither in Fluent Speech Commands"):
        read_corpora(dataclasses.replace(base.data, task_roots=(tmp_path,)))
    twice = dataclasses.replace(base.data, task_roots=(EMBEDDED_CORPORA["ic"],) * 2)
    with pytest.raises(ValueError, match="400 utterance ids"):
        read_corpora(twice)


def test_the_best_epoch_is_the_one_that_is_tested(whole):
    losses = [logs["val_loss"] for logs in whole["history"] if logs["epoch"] >= 0]
    assert whole["best_epoch"] == int(np.argmin(losses))


@pytest.mark.parametrize("devices", DEVICES)
def test_a_run_that_was_killed_goes_on(devices, base, whole, monkeypatch):
    configuration = dataclasses.replace(base, name=f"killed-{devices}")
    kill(configuration, monkeypatch, at_step=5)
    shared = dataclasses.replace(base.training, devices=devices)
    resumed = distill(dataclasses.replace(configuration, training=shared))
    check_same_runs(resumed, whole, configuration.folder, base.folder)


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_alike(base, whole, monkeypatch):
    configuration = dataclasses.replace(base, name="killed-early")
    kill(configuration, monkeypatch, at_step=1)
    assert (configuration.folder / "teacher_units").is_dir()
    assert not (configuration.folder / "state").exists()
    check_same_runs(distill(configuration), whole, configuration.folder, base.folder)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="whose replicas draw in another way")
def test_replicas_that_were_killed_go_on(base, monkeypatch):
    training = dataclasses.replace(base.training, devices=MOST_DEVICES, epochs=2)
    unbroken, killed = (
        dataclasses.replace(base, name=name, training=training, pictures=0)
        for name in ("replicas", "killed-replicas")
    )
    whole = distill(unbroken)
    kill(killed, monkeypatch, at_step=5)
    check_same_runs(distill(killed), whole, killed.folder, unbroken.folder)


def kill(configuration, monkeypatch, at_step):
    real = callbacks.TrainingSummary.on_train_batch_end

    def stop(self, batch, logs=None):
        real(self, batch, logs)
        if self._step == at_step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.TrainingSummary, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            distill(configuration)
    assert not (configuration.folder / "results.json").exists()


def test_checkpointing_reaches_the_student(base):
    training = dataclasses.replace(base.training, gradient_checkpointing=True)
    asked = dataclasses.replace(base, training=training)
    for configuration in (base, asked):
        distiller = build_distiller(configuration, build_teacher(configuration, []))
        assert distiller.student.gradient_checkpointing == (configuration is asked)


def test_a_finished_run_is_not_trained_again(base, whole, monkeypatch):
    monkeypatch.setattr(callbacks.TrainingSummary, "on_train_begin", None)
    again = distill(base)
    assert again["history"] == whole["history"]
    assert again["test"] == pytest.approx(whole["test"], rel=1e-5)


def test_another_configuration_does_not_go_on_with_a_run(base, whole):
    other = dataclasses.replace(base, training=dataclasses.replace(base.training, seed=5))
    with pytest.raises(ValueError, match=r"another configuration \(training"):
        distill(other)
    kept = json.loads((base.folder / "configuration.json").read_text())
    assert kept["training"]["seed"] == 0


def test_another_corpus_does_not_go_on_with_a_run(base, whole, monkeypatch):
    monkeypatch.setattr("experiments.distillation.run.corpus_hash", lambda utterances: "another")
    with pytest.raises(ValueError, match=r"another configuration \(corpus\.test"):
        distill(base)


def test_a_speaker_in_two_splits_is_refused(base):
    data = dataclasses.replace(base.data, valid=("train",))
    with pytest.raises(ValueError, match="speaker"):
        distill(dataclasses.replace(base, name="leak", data=data))


def test_a_recording_in_two_splits_is_refused(tmp_path):
    for first, name in enumerate(("train", "valid", "test")):
        write_corpus(tmp_path, 1, subset=name, first=10 * first)
    data = Data(root=tmp_path)
    assert len(read_corpora(data)["test"]) == 4
    linked = tmp_path / "test" / "120" / "7" / "120-7-0001.flac"
    linked.unlink()
    linked.symlink_to(tmp_path / "valid" / "110" / "7" / "110-7-0001.flac")
    told = "'valid' and 'test' share 1 recordings, such as '.*110-7-0001.flac'"
    with pytest.raises(ValueError, match=told):
        read_corpora(data)


@pytest.mark.skipif(BACKEND != "torch", reason="the same everywhere; torch need not trace first")
def test_broken_files_are_left_out_and_listed(base, tmp_path):
    for first, name in enumerate(("train", "valid", "test")):
        write_corpus(tmp_path / "speech", 2, subset=name, first=10 * first)
    broken = next((tmp_path / "speech" / "train").rglob("*.flac"))
    broken.write_bytes(broken.read_bytes()[:200])
    data = dataclasses.replace(base.data, root=tmp_path / "speech", test=())
    short = dataclasses.replace(base.training, epochs=1)
    configuration = dataclasses.replace(base, data=data, out=tmp_path, training=short, pictures=0)
    with pytest.raises(BadInputError, match=f"{broken.name}: The audio file is .* broken"):
        distill(configuration)
    data = dataclasses.replace(data, on_error="skip")
    with pytest.warns(UserWarning, match=f"skipped 1 items:\n.*{broken.name}: "):
        results = distill(dataclasses.replace(configuration, name="skip", data=data))
    assert results["utterances"] == {"train": 7, "valid": 8}
    assert results["test"] is None


def test_losses_beyond_the_paper_train_together(base):
    objective = Objective(
        ("contrastive", "contrastive-span"),
        (1.0, 1.0),
        softness=0.1,
        centre_units=True,
    )
    training = dataclasses.replace(base.training, epochs=2)
    results = distill(
        dataclasses.replace(base, name="beyond", objective=objective, training=training)
    )
    assert np.isfinite([logs["val_loss"] for logs in results["history"]]).all()
    assert results["history"][-1]["val_loss"] < results["history"][0]["val_loss"]


def test_the_teacher_is_built_as_configured():
    settings = Teacher(significance_layers=(-1,), centring="corpus")
    train = utterances(6)
    teacher = build_teacher(Configuration(teacher=settings), train)
    assert teacher.significance_layers == (5,)
    tokens = TextTokenizer(teacher.tokenizer, 16)(None, [utterance.text for utterance in train])
    units = teacher({name: np.asarray(value) for name, value in tokens.items()})
    units = {name: ops.convert_to_numpy(value) for name, value in units.items()}
    np.testing.assert_allclose(units["embeddings"][units["mask"]].mean(0), 0, atol=1e-4)


def test_too_little_memory_is_told_before_training(base, whole, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    message = r"4 utterances of up to .*Set --training\.gradient-checkpointing, or lower --data"
    with pytest.raises(ValueError, match=message):
        distill(dataclasses.replace(base, name="large"))
    # What is done takes none.
    assert distill(base)["test"] == pytest.approx(whole["test"])
