import dataclasses
import json

import numpy as np
import pytest
import soundfile
from keras import ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments import memory
from experiments.backends import steps_at_once
from experiments.results import plain
from experiments.statistics import mean_interval
from experiments.understanding import head as head_module
from experiments.understanding.best_head import BestHead
from experiments.understanding.configuration import (
    RECIPES,
    Understanding,
    configurations,
    with_defaults,
)
from experiments.understanding.corpora import SNIPS_SPEAKERS, read_splits
from experiments.understanding.head import HeadRun
from experiments.understanding.report import print_results, rows
from experiments.understanding.run import DivergedError, understand
from experiments.understanding.summaries import ValidationAnswers, confusion, text_table
from experiments.understanding.tasks import Classification, SlotFilling, scores_by_part
from pad_keras.data import BadInputError, Utterance
from tests.backend import BACKEND, DEVICES
from tests.data.corpus import tone
from tests.data.test_slu_corpora import write_fsc
from tests.small import speech_student


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "small"
    speech_student(dim=32).save_to_preset(str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def intents(encoder, tmp_path_factory):
    """Two seeds and two learning rates."""
    settings = Understanding(
        "ic",
        encoder=encoder,
        learning_rates=(1e-2, 1e-4),
        seeds=(0, 1),
        out=tmp_path_factory.mktemp("intents"),
        tiny=True,
    )
    return settings, understand(settings)


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


def test_another_configuration_or_encoder_is_refused(intents):
    settings, _ = intents
    with pytest.raises(ValueError, match=r"another configuration \(shots: None -> 1"):
        understand(dataclasses.replace(settings, shots=1, name="ic-small"))
    with pytest.raises(ValueError, match=r"another configuration \(weights"):
        understand(settings, encoder=speech_student(dim=32, seed=9))


@pytest.mark.parametrize("task", ["intents", "slots"])
def test_a_killed_head_goes_on_to_the_same_result(task, request, tmp_path, monkeypatch):
    settings, whole = request.getfixturevalue(task)
    alone = dataclasses.replace(
        settings, learning_rates=settings.learning_rates[:1], seeds=settings.seeds[:1], out=tmp_path
    )
    (name,) = (job.name for job in alone.jobs())
    real = ValidationAnswers.on_epoch_end

    def kill_in_the_second_epoch(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        real(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(ValidationAnswers, "on_epoch_end", kill_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            understand(alone)
    assert (alone.folder / "heads" / name / "state").is_dir()
    resumed = understand(dataclasses.replace(alone, devices=DEVICES[-1]))["heads"][name]
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


def test_results_of_before_a_field_came_are_still_results(intents):
    settings, _ = intents
    told = {k: v for k, v in plain(settings).items() if k != "normalize_states"}
    assert with_defaults(told) == plain(settings)
    other = plain(dataclasses.replace(settings, normalize_states=True))
    assert with_defaults(other) == other


@pytest.fixture(scope="module")
def slots(encoder, tmp_path_factory):
    """Slot filling, dropout and SpecAugment included, on a small corpus of short tones."""
    folder = tmp_path_factory.mktemp("slots")
    speakers = {"train": ["Ann", "Ben", "Cid", "Dan"], "valid": ["Eve"], "test": ["Flo"]}
    settings = Understanding(
        "sf",
        encoder=encoder,
        data=write_snips(folder / "snips", speakers),
        out=folder,
        export=folder / "saved_model",
        tiny=True,
    )
    return settings, understand(settings)


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


def test_fine_tuning_says_before_it_starts_that_memory_will_not_do(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    settings = Understanding(
        "ic", encoder=encoder, data=commands(tmp_path / "corpus"), out=tmp_path, fine_tune=True
    )
    with pytest.raises(ValueError, match="Set --gradient-checkpointing, or lower --batch-size"):
        understand(settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rates": (0.0,)}, "`learning_rates` must be positive"),
        ({"seeds": (0, 0)}, "`seeds` must be different values"),
        ({"seeds": ()}, "`seeds` must be different values"),
        ({"folds": (7,)}, "`folds` must be of"),
        ({"shots": 0}, "`shots` must be at least 1, got 0"),
        ({"updates": 0}, "`updates` must be at least 1, got 0"),
    ],
)
def test_arguments_that_mislead_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Understanding("er", **arguments)


def test_only_a_saved_model_is_replaced(encoder, tmp_path):
    (tmp_path / "precious").write_text("x")
    settings = Understanding("ic", encoder=encoder, out=tmp_path, export=tmp_path, tiny=True)
    with pytest.raises(FileExistsError, match="is no SavedModel and would be replaced"):
        understand(settings)
    assert (tmp_path / "precious").exists()


def commands(root, **changes):
    """A corpus of commands; `changes` are the rows of a split."""
    rows = {
        "train": [("s1", "a", "on", "light", "none"), ("s1", "b", "off", "light", "none")],
        "valid": [("s2", "a", "on", "light", "none")],
        "test": [("s3", "a", "on", "light", "none")],
    }
    for split, lines in {**rows, **changes}.items():
        write_fsc(root, split, lines)
    return root


def test_an_unknown_label_is_named_before_anything_is_trained(tmp_path):
    rows = [("s3", "a", "explode", "light", "none")]
    settings = Understanding("ic", data=commands(tmp_path, test=rows), out=tmp_path)
    with pytest.raises(BadInputError, match="test0.wav: the action 'explode' is none"):
        understand(settings, encoder=speech_student())
    assert not settings.folder.exists()


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_an_empty_split_is_named(split, tmp_path):
    with pytest.raises(ValueError, match=f"The split '{split}' of .* has no utterance"):
        read_splits(Understanding("ic", data=commands(tmp_path, **{split: []})))


def test_results_on_another_corpus_are_not_passed_off(encoder, tmp_path):
    settings = Understanding(
        "ic", encoder=encoder, data=commands(tmp_path), updates=1, out=tmp_path, tiny=True
    )
    assert understand(settings)["test"]["all"]["exact_match"]["mean"] in (0.0, 1.0)
    commands(tmp_path, test=[("s3", "a", "off", "light", "none")])
    with pytest.raises(ValueError, match=r"another configuration \(fold None"):
        understand(settings)


def test_a_head_that_diverges_is_told(encoder, tmp_path, capsys):
    settings = Understanding(
        "ic",
        encoder=encoder,
        data=commands(tmp_path),
        learning_rates=(1e38,),
        updates=6,
        evaluate_every=3,
        out=tmp_path,
        tiny=True,
    )
    with pytest.raises(ValueError, match="Heads diverged at each of"):
        understand(settings)
    assert "the loss is NaN" in capsys.readouterr().out


def test_small_heads_take_many_steps_at_once_where_that_helps():
    expected = {250: 50, 20: 20, 102: 34, 53: 1} if BACKEND == "tensorflow" else {250: 1, 20: 1}
    assert {steps: steps_at_once(steps) for steps in expected} == expected


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


def test_the_recipes_are_superbs():
    assert RECIPES["superb"]["ic"].updates == 200_000
    emotion = RECIPES["superb"]["er"]
    assert (emotion.batch_size, emotion.accumulation, emotion.evaluate_every) == (4, 8, 1_000)
    slots = Understanding("sf", recipe="superb").resolved_recipe
    assert (slots.projection_dim, slots.lstm_dim, slots.learning_rate) == (1024, 1024, 1e-4)
    assert configurations().keys() == {"ic", "sf", "er"}


def write_snips(root, speakers):
    lines = []
    for split, names in speakers.items():
        for name in names:
            uid = f"{name}-snips-{split}-0"
            (root / split).mkdir(parents=True, exist_ok=True)
            soundfile.write(root / split / f"{uid}.wav", tone(0.3), 16_000)
            lines.append(f"{uid} BOS ADD ADELE EOS\tO O artist AddToPlaylist\n")
    (root / "all.iob.snips.txt").write_text("".join(lines))
    (root / "slots.txt").write_text("O\nartist\n")
    return root


def test_superbs_speakers_are_taken_of_audio_snips(tmp_path):
    everybody = [name for names in SNIPS_SPEAKERS.values() for name in names]
    root = write_snips(tmp_path / "all", dict.fromkeys(SNIPS_SPEAKERS, everybody))
    splits = read_splits(Understanding("sf", data=root))[None]
    assert {u.speaker for u in splits.valid} == set(SNIPS_SPEAKERS["valid"])
    others = {"train": ["Ann"], "valid": ["Bob"], "test": ["Eve"]}
    splits = read_splits(Understanding("sf", data=write_snips(tmp_path / "other", others)))[None]
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [1, 1, 1]
    leak = {**others, "test": ["Ann"]}
    with pytest.raises(ValueError, match=r"'test' shares the speakers \['Ann'\]"):
        read_splits(Understanding("sf", data=write_snips(tmp_path / "leak", leak)))


def test_scores_of_parts():
    task = Classification({"action": ("on", "off")})
    utterances = [
        Utterance(str(i), "", "s", 1.0, labels={"action": label}, part=part)
        for i, (label, part) in enumerate([("on", "a"), ("off", "a"), ("on", "b")])
    ]
    answers = {"action": np.array([[1.0, 0], [1.0, 0], [1.0, 0]])}
    found = scores_by_part(task, answers, utterances)
    assert {part: scores["exact_match"] for part, scores in found.items()} == pytest.approx(
        {"all": 2 / 3, "a": 0.5, "b": 1.0}
    )
    assert task.chance(utterances, utterances) == pytest.approx({"exact_match": 2 / 3})
    assert task.texts(answers) == ["on", "on", "on"]


def test_references_of_slots():
    task = SlotFilling({"slots": ("artist",)})
    labels = {"slots": "O artist", "intent": "Play"}
    utterance = Utterance("u", "", "s", 1.0, text="PLAY ADELE", labels=labels)
    assert task.references([utterance]) == ["PLAY B-artist ADELE E-artist"]
    scores = task.scores(["PLAY B-artist ADEL E-artist"], [utterance])
    assert scores == pytest.approx({"slot_type_f1": 1.0, "slot_value_cer": 0.2})


def test_the_best_head_is_kept(tmp_path):
    task = Classification({"action": ("on", "off")})
    model = task.build(speech_student(), RECIPES["short"]["ic"], fine_tune=False)
    model.compile()
    best = BestHead(tmp_path / "head.npz", "val_exact_match")
    best.set_model(model)
    for epoch, value in enumerate([0.5, float("nan"), 0.7, 0.7, 0.2]):
        model.classifier.bias.assign([float(epoch)] * 2)
        best.on_epoch_end(epoch, {"val_exact_match": value})
    assert (best.best, best.epoch) == (0.7, 2)
    best.load(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.classifier.bias), [2.0, 2.0])


def test_confusion_counts_right_labels_in_rows():
    counts = confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    assert counts.tolist() == [[0, 2], [0, 1]]
    assert text_table(["A"], ["B"]).splitlines()[-1] == "| A | B |"


def test_mean_and_interval():
    mean, interval = mean_interval([0.5, 0.6, 0.7])
    # t of 2 degrees of freedom is 4.303; the standard error 0.1 / sqrt(3).
    assert (mean, interval) == pytest.approx((0.6, 4.303 * 0.1 / 3**0.5), rel=1e-3)
    assert mean_interval([0.4]) == (0.4, None)
