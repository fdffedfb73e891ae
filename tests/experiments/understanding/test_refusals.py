import dataclasses
import json

import pytest

from experiments import memory
from experiments.results import plain
from experiments.understanding.best_head import BestHead
from experiments.understanding.configuration import Understanding, with_defaults
from experiments.understanding.corpora import read_splits
from experiments.understanding.run import understand
from pad_keras.data import BadInputError
from tests.data.test_slu_corpora import write_fsc
from tests.experiments.test_reproduce_paper import write_emotions
from tests.experiments.understanding.small_corpora import commands
from tests.small import speech_student


def test_another_configuration_or_encoder_is_refused(intents):
    settings, _ = intents
    with pytest.raises(ValueError, match=r"another configuration \(shots: None -> 1"):
        understand(dataclasses.replace(settings, shots=1, name="ic-small"))
    with pytest.raises(ValueError, match=r"another configuration \(weights"):
        understand(settings, encoder=speech_student(dim=32, seed=9))


def test_results_of_before_a_field_came_are_still_results(intents):
    settings, _ = intents
    told = {k: v for k, v in plain(settings).items() if k != "normalize_states"}
    assert with_defaults(told) == plain(settings)
    other = plain(dataclasses.replace(settings, normalize_states=True))
    assert with_defaults(other) == other


def test_results_on_another_corpus_are_not_passed_off(encoder, tmp_path):
    settings = Understanding(
        "ic", encoder=encoder, data=commands(tmp_path), updates=1, out=tmp_path, tiny=True
    )
    assert understand(settings)["test"]["all"]["exact_match"]["mean"] in (0.0, 1.0)
    commands(tmp_path, test=[("s3", "a", "off", "light", "none")])
    with pytest.raises(ValueError, match=r"another configuration \(fold None"):
        understand(settings)


def test_results_on_another_split_are_not_passed_off(encoder, tmp_path):
    settings = Understanding(
        "ic", encoder=encoder, data=commands(tmp_path), updates=1, out=tmp_path, tiny=True
    )
    understand(settings)
    path = settings.folder / "configuration.json"
    kept = json.loads(path.read_text())
    kept["splits"] = {"splits of fold None": "0"}
    path.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match=r"another configuration \(splits of fold None"):
        understand(settings)
    # Experiments of before splits were noted are still results.
    del kept["splits"]
    path.write_text(json.dumps(kept))
    understand(settings)
    assert "splits of fold None" in json.loads(path.read_text())["splits"]


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
        ({"learning_rates": (0.0,)}, "`learning_rates` must be positive and finite, got 0.0"),
        ({"learning_rates": (1e-3, float("nan"))}, "`learning_rates` must be positive.*got nan"),
        ({"seeds": (-1,)}, "`seeds` must be at least 0"),
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


def test_an_unknown_label_is_named_before_anything_is_trained(tmp_path):
    rows = [("s3", "a", "explode", "light", "none")]
    settings = Understanding("ic", data=commands(tmp_path, test=rows), out=tmp_path)
    with pytest.raises(BadInputError, match="test0.wav: the action 'explode' is none"):
        understand(settings, encoder=speech_student())
    assert not settings.folder.exists()


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_an_empty_split_is_named(split, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"No utterance in .*{split}_data.csv"):
        read_splits(Understanding("ic", data=commands(tmp_path, **{split: []})))


def test_a_split_of_which_nothing_can_be_decoded_is_named(tmp_path):
    root = commands(tmp_path)
    write_fsc(root, "valid", [("s2", "a", "on", "light", "none")], suffix=".flac")
    broken = next(root.rglob("valid0.flac"))
    broken.write_bytes(broken.read_bytes()[:200])
    settings = Understanding("ic", data=root, on_error="skip")
    with (
        pytest.warns(UserWarning, match=r"skipped 1 items:\n.*valid0.flac"),
        pytest.raises(ValueError, match="The split 'valid' of .* has no utterance"),
    ):
        read_splits(settings)


@pytest.mark.parametrize("kind", ["another spelling", "a link to a file", "a link to a folder"])
def test_a_recording_in_two_splits_is_refused(tmp_path, kind):
    root = commands(tmp_path)
    table = root / "data" / "test_data.csv"
    path = "wavs/speakers/s1/train0.wav"
    if kind == "another spelling":
        path = "wavs/./speakers/s1/train0.wav"
    elif kind == "a link to a file":
        (root / "wavs" / "linked.wav").symlink_to(root / path)
        path = "wavs/linked.wav"
    else:
        (root / "linked").symlink_to(root / "wavs" / "speakers")
        path = "linked/s1/train0.wav"
    table.write_text(table.read_text() + f"9,{path},s3,a,on,light,none\n")
    told = r"'train' and 'test' share 1 recordings, such as '.*/s1/train0.wav'"
    with pytest.raises(ValueError, match=told):
        read_splits(Understanding("ic", data=root))


def test_a_recording_of_emotions_in_two_parts_is_refused(tmp_path):
    write_emotions(tmp_path)
    read_splits(Understanding("er", data=tmp_path))
    # Two turns of a dialogue, of which one trains and one validates in some fold.
    folder = tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    first, *others = sorted(folder.iterdir())
    for other in others:
        other.unlink()
        other.symlink_to(first)
    with pytest.raises(ValueError, match="share 1 recordings, such as '.*_F000.wav'"):
        read_splits(Understanding("er", data=tmp_path))


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


def test_a_broken_head_is_named(tmp_path):
    path = tmp_path / "head.npz"
    path.write_bytes(b"PK\x03\x04, and no more")
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        BestHead(path, "val_exact_match").load(None)
