"""A teacher's preset is computed as it was meant, or refused."""

import json
import math

import keras_hub
import numpy as np
import pytest

from pad_keras.models import TextTeacher
from tests.backend import numpy_of
from tests.small import VOCABULARY, text_teacher

# All of bert-base-uncased's that names a computation, at a small size.
CONFIG = {
    "architectures": ["BertForMaskedLM"],
    "hidden_act": "gelu",
    "hidden_size": 24,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 32,
    "model_type": "bert",
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": len(VOCABULARY),
}


def write(folder, vocabulary=VOCABULARY, **values):
    """A folder in the transformers layout, without weights."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, **values}))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return folder


def refuse(folder, message):
    with pytest.raises(ValueError, match=message):
        TextTeacher.from_preset(folder, load_weights=False)


def test_a_config_like_that_of_bert_is_read(tmp_path):
    teacher = TextTeacher.from_preset(write(tmp_path), load_weights=False)
    assert teacher.exact_gelu
    assert (teacher.hidden_dim, teacher.backbone.num_layers) == (24, 2)


def test_a_silent_config_means_what_the_reference_assumes(tmp_path):
    write(tmp_path)
    silent = {
        key: value
        for key, value in CONFIG.items()
        if key not in ("hidden_act", "layer_norm_eps", "position_embedding_type")
    }
    (tmp_path / "config.json").write_text(json.dumps(silent))
    assert TextTeacher.from_preset(tmp_path, load_weights=False).exact_gelu


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 10**9}, "`num_layers` must be at most 1000"),
        ({"hidden_size": 2**30}, "GB of memory"),
        ({"intermediate_size": 2**40}, "GB of memory"),
        ({"vocab_size": 2**40}, "GB of memory"),
        ({"max_position_embeddings": 2**40}, "GB of memory"),
        ({"num_hidden_layers": -1}, "`num_hidden_layers` must be positive and whole, not -1"),
        ({"hidden_size": "24"}, "`hidden_size` must be positive and whole, not '24'"),
    ],
)
def test_sizes_that_no_machine_holds_are_refused_before_memory_is_taken(
    values, message, tmp_path, monkeypatch
):
    def build(*args, **kwargs):
        raise AssertionError("built")

    monkeypatch.setattr(keras_hub.models.BertBackbone, "__init__", build)
    refuse(write(tmp_path, **values), rf"config\.json.*{message}")


def test_a_preset_of_kerashub_is_held_to_its_sizes_too(tmp_path):
    teacher = text_teacher()
    teacher.backbone.save_to_preset(str(tmp_path))
    teacher.tokenizer.save_to_preset(str(tmp_path))
    assert TextTeacher.from_preset(tmp_path).hidden_dim == 16
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["config"]["num_layers"] = 10**9
    path.write_text(json.dumps(config))
    refuse(tmp_path, r"config\.json.*`num_layers` must be at most 1000")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layer_norm_eps", 1e-5),
        ("layer_norm_eps", math.nan),
        ("layer_norm_eps", "1e-12"),
        ("hidden_act", "relu"),
        ("hidden_act", ["gelu"]),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
    ],
)
def test_a_config_that_kerashub_does_not_compute_is_refused(key, value, tmp_path):
    refuse(write(tmp_path, **{key: value}), rf"config\.json: `{key}` is .*computes only")


def test_an_epsilon_that_differs_by_rounding_is_none_other(tmp_path):
    write(tmp_path, layer_norm_eps=float(np.float32(1e-12)))
    TextTeacher.from_preset(tmp_path, load_weights=False)


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh"])
def test_the_approximate_gelu_is_that_of_transformers(activation, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**CONFIG, "hidden_act": activation}, initializer_range=0.4)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    ids = np.array([[2, 5, 6, 7, 8, 3]])
    with torch.no_grad():
        expected = model(torch.tensor(ids)).last_hidden_state.numpy()
    inputs = {
        "token_ids": ids.astype("int32"),
        "segment_ids": np.zeros_like(ids, "int32"),
        "padding_mask": np.ones_like(ids, "bool"),
    }
    teacher = TextTeacher.from_preset(tmp_path)
    np.testing.assert_allclose(numpy_of(teacher(inputs))["embeddings"], expected, atol=2e-5)
    assert TextTeacher.from_preset(tmp_path, exact_gelu=True).exact_gelu


def test_a_vocabulary_longer_than_the_embedding_is_refused(tmp_path):
    write(tmp_path, [*VOCABULARY, "##more"])
    rows = len(VOCABULARY)
    refuse(tmp_path, rf"{tmp_path}: .* {rows + 1} word pieces and the embedding {rows} rows")


def test_a_vocabulary_may_lack_the_rows_of_padding_alone(tmp_path):
    padded = 1_024 + len(VOCABULARY)
    write(tmp_path, vocab_size=padded)
    assert TextTeacher.from_preset(tmp_path, load_weights=False).backbone.vocabulary_size == padded
    write(tmp_path, vocab_size=padded + 1)
    refuse(
        tmp_path, rf"{tmp_path}: .* {len(VOCABULARY)} word pieces and the embedding 1,0\d\d rows"
    )
