import dataclasses
import json

import numpy as np
import pytest
from keras import ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.statistics import mean_interval
from experiments.understanding import head as head_module
from experiments.understanding.configuration import Understanding
from experiments.understanding.head import HeadRun
from experiments.understanding.report import print_results, rows
from experiments.understanding.run import DivergedError, understand
from experiments.understanding.summaries import ValidationAnswers
from tests.backend import BACKEND, DEVICES, MOST_DEVICES
from tests.experiments.small_run import killed_in_the_second_epoch
from tests.experiments.understanding.small_corpora import commands
from tests.small import speech_student


def test_the_learning_rate_is_chosen_on_valid_and_that_one_is_tested(intents):
    settings, results = intents
    assert settings.folder.name == "ic-small-tiny"
    assert results == json.loads((settings.folder / "results.json").read_text())
    assert results["valid"].keys() == {"0.01", "0.0001"}
    best = max(results["valid"], key=results["valid"].get)
    assert results["learning_rate"] == float(best)
    for name, head in results["heads"].items():
        assert (head["test"] is not None) == name.startswith(f"lr-{best}-")
        measured = [logs["val_exact_match"] for logs in head["history"]]
        assert head["best"] == max(measured)
        assert head["epoch"] == int(np.argmax(measured))
        assert len(measured) == 2


def test_the_table_tells_mean_interval_parts_and_chance(intents, capsys):
    settings, results = intents
    test = results["test"]
    assert test.keys() == {"all", "seen", "unseen"}
    values = test["all"]["exact_match"]["seeds"]
    heads = [head["test"] for head in results["heads"].values() if head["test"]]
    assert values == [head["all"]["exact_match"] for head in heads]
    mean, interval = mean_interval(values)
    assert rows(results)[0][2:4] == [mean, f"± {interval:.3f}"]
    print_results(results, settings.folder)
    told = capsys.readouterr().out
    for words in ("accuracy", "unseen", "2 seeds", "learning rates on valid", "tensorboard"):
        assert words in told


def test_answers_and_pictures_are_there(intents):
    settings, results = intents
    name = next(name for name, head in results["heads"].items() if head["test"])
    lines = (settings.folder / "heads" / name / "test.tsv").read_text().splitlines()
    assert len(lines) == results["utterances"]["all"]["test"] == 16
    assert all(len(line.split("\t")) == 3 for line in lines)
    right = np.mean([line.split("\t")[1] == line.split("\t")[2] for line in lines])
    assert right == pytest.approx(results["heads"][name]["test"]["all"]["exact_match"])
    tags = EventAccumulator(str(settings.folder / "tensorboard" / name)).Reload().Tags()
    expected = {"layer_weights", "confusion/action", "confusion/object", "confusion/location"}
    assert expected | {"epoch/val_exact_match", "hparams/val_exact_match"} <= set(tags["tensors"])


def test_what_is_done_is_not_done_again_and_seeds_are_added(intents, monkeypatch):
    settings, results = intents
    fits = []
    real = HeadRun._fit
    monkeypatch.setattr(HeadRun, "_fit", lambda *a: fits.append(a[0].job.name) or real(*a))
    assert understand(settings)["heads"] == results["heads"]
    assert not fits
    more = understand(dataclasses.replace(settings, seeds=(0, 1, 2), learning_rates=(1e-2,)))
    assert fits == ["lr-0.01-seed-2"]
    assert len(more["test"]["all"]["exact_match"]["seeds"]) == 3


@pytest.mark.parametrize("task", ["intents", "slots"])
def test_a_killed_head_goes_on_to_the_same_result(task, request, tmp_path):
    settings, whole = request.getfixturevalue(task)
    alone = dataclasses.replace(
        settings, learning_rates=settings.learning_rates[:1], seeds=settings.seeds[:1], out=tmp_path
    )
    (name,) = (job.name for job in alone.jobs())
    with killed_in_the_second_epoch(ValidationAnswers, "on_epoch_end"):
        understand(alone)
    assert (alone.folder / "heads" / name / "state").is_dir()
    # A slot filler has dropout, which replicas of TensorFlow draw in another way.
    devices = MOST_DEVICES if task == "intents" else DEVICES[-1]
    resumed = understand(dataclasses.replace(alone, devices=devices))["heads"][name]
    assert not (alone.folder / "heads" / name / "state").exists()
    for found, expected in zip(resumed["history"], whole["heads"][name]["history"], strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_encoder_in_every_step_gives_what_its_cached_states_give(intents, tmp_path):
    settings, whole = intents
    live = dataclasses.replace(
        settings, learning_rates=(1e-2,), seeds=(0,), cache=False, out=tmp_path
    )
    name = "lr-0.01-seed-0"
    history = understand(live)["heads"][name]["history"]
    assert not (live.out / "hidden_states").exists()
    for found, expected in zip(history, whole["heads"][name]["history"], strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)


def test_normalised_states_are_kept_apart_and_do_as_the_encoder_in_every_step(intents, tmp_path):
    settings, whole = intents
    cached = dataclasses.replace(
        settings, normalize_states=True, learning_rates=(1e-2,), seeds=(0,), name="normalised"
    )
    live = dataclasses.replace(cached, cache=False, out=tmp_path)
    name = "lr-0.01-seed-0"
    histories = [understand(one)["heads"][name]["history"] for one in (cached, live)]
    for found, expected in zip(*histories, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    assert histories[0][-1]["loss"] != whole["heads"][name]["history"][-1]["loss"]
    # One folder for each kind of states, so that neither has the other made anew.
    assert len(list((settings.out / "hidden_states").glob("*-pooled-*"))) == 2


def test_layers_reach_the_head(intents):
    settings, whole = intents
    name = "lr-0.01-seed-0"
    last = dataclasses.replace(
        settings, layers=(-1,), learning_rates=(1e-2,), seeds=(0,), name="last"
    )
    histories = [results["heads"][name]["history"] for results in (understand(last), whole)]
    assert histories[0][0]["loss"] != pytest.approx(histories[1][0]["loss"], rel=1e-4)
    with np.load(last.folder / "heads" / name / "head.npz") as weights:
        assert (1,) in {value.shape for value in weights.values()}


def test_slots(slots):
    settings, results = slots
    assert results["test"]["all"].keys() == {"slot_type_f1", "slot_value_cer"}
    assert results["chance"] == {"slot_type_f1": 0.0, "slot_value_cer": 1.0}
    log = EventAccumulator(str(settings.folder / "tensorboard" / "lr-0.001-seed-0")).Reload()
    assert {"slots", "layer_weights"} <= set(log.Tags()["tensors"])
    assert (settings.export / "saved_model.pb").is_file()


def test_emotions_leave_each_session_out(encoder, tmp_path):
    settings = Understanding("er", encoder=encoder, out=tmp_path, tiny=True, shots=2)
    assert settings.jobs()[0].name == "lr-0.002-seed-0-fold-1"
    assert len(dataclasses.replace(settings, tiny=False).jobs()) == 5
    results = understand(settings)
    assert results["heads"]["lr-0.002-seed-0-fold-1"]["utterances"] <= 8
    assert results["test"]["all"]["exact_match"]["interval"] is None


def test_fine_tuning_trains_each_head_with_its_own_encoder(encoder, tmp_path, monkeypatch):
    # Each padded length costs JAX the compilation of a whole encoder and its gradient.
    monkeypatch.setattr(head_module, "_BUCKETS", 1)
    settings = Understanding(
        "ic",
        encoder=encoder,
        data=commands(tmp_path / "corpus"),
        out=tmp_path,
        fine_tune=True,
        updates=1,
        seeds=(0, 1),
        tiny=True,
    )
    understand(settings)
    assert not (settings.out / "hidden_states").exists()
    before = [ops.convert_to_numpy(weight) for weight in speech_student(dim=32).weights]
    trained = []
    for job in settings.jobs():
        with np.load(settings.folder / "heads" / job.name / "head.npz") as file:
            trained.append([file[name] for name in sorted(file.files)])
    for arrays in trained:
        # One update of Adam moves a weight by the learning rate at most.
        steps = [np.abs(a - b).max() for a, b in zip(arrays, before, strict=False)]
        assert 0 < max(steps) < 2 * 2e-3
    assert not np.array_equal(trained[0][0], trained[1][0])


@pytest.mark.parametrize(
    ("task", "settings", "is_light"),
    [("ic", {}, True), ("ic", {"fine_tune": True}, False), ("sf", {}, False)],
)
def test_only_small_heads_take_many_steps_at_once(task, settings, is_light, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(HeadRun, "train", lambda run: seen.append(run) or {"best": None})
    encoder = speech_student()
    tiny = Understanding(task, encoder="given", tiny=True, out=tmp_path, **settings)
    with pytest.raises(DivergedError):
        understand(tiny, encoder=encoder)
    (run,) = seen
    many = is_light and BACKEND == "tensorflow"
    assert run._compiled().steps_per_execution == (6 if many else 1)
