"""Checkpoints that were made to harm run no code, open no other file and take no memory."""

import io
import json
import math
import struct
import zipfile

import h5py
import numpy as np
import pytest
import transformers

from pad_keras.callbacks import TrainingState
from pad_keras.models import TextTeacher, UtteranceClassifier, Wav2Vec2Backbone
from tests.small import speech_student


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def transformers_folder(tmp_path):
    speech_student().to_transformers(tmp_path)
    return tmp_path


@pytest.fixture
def keras_folder(tmp_path):
    speech_student().save_to_preset(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 2**24, "intermediate_size": 2**24}, "GB of memory"),
        ({"num_conv_pos_embeddings": 2**40}, "GB of memory"),
        ({"num_hidden_layers": 10**9}, "`num_layers` must be at most 1000"),
        ({"num_hidden_layers": -1}, "`num_layers` must be positive and whole, not -1"),
        ({"conv_dim": [8, 2**40, 8, 8, 8, 8, 8]}, "GB of memory"),
        ({"hidden_size": "16"}, "`hidden_dim` must be positive and whole, not '16'"),
        ({"num_attention_heads": 0}, "`num_heads` must be positive and whole, not 0"),
        ({"conv_stride": [10**9] * 7}, "lie apart, at most 160,000 samples"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 10**9]}, "lie apart, at most 160,000 samples"),
        ({"conv_kernel": [10**6, 3, 3, 3, 3, 2, 2]}, "lie apart, at most 160,000 samples"),
    ],
)
def test_sizes_that_no_machine_holds_are_refused_before_memory_is_taken(
    values, message, transformers_folder
):
    change_json(transformers_folder / "config.json", **values)
    with pytest.raises(ValueError, match=rf"config\.json.*{message}"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


@pytest.mark.parametrize("value", [math.nan, -1.0, 0, math.inf, "1e-5", None, True])
def test_an_epsilon_that_is_no_positive_number_is_refused(value, transformers_folder):
    change_json(transformers_folder / "config.json", layer_norm_eps=value)
    with pytest.raises(ValueError, match=r"config\.json.*`layer_norm_eps` must be a positive"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


@pytest.mark.parametrize(
    "key",
    [
        "do_stable_layer_norm",
        "conv_bias",
        "apply_spec_augment",
        "feat_proj_layer_norm",
        "conv_pos_batch_norm",
    ],
)
@pytest.mark.parametrize("value", ["false", 0, None])
def test_a_flag_that_is_neither_true_nor_false_is_refused(key, value, transformers_folder):
    change_json(transformers_folder / "config.json", **{"model_type": "hubert", key: value})
    with pytest.raises(ValueError, match=rf"config\.json.*`{key}` must be true or false"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer_norm_epsilon", math.nan, "must be a positive and finite number, not nan"),
        ("layer_norm_epsilon", "1e-5", "must be a positive and finite number, not '1e-5'"),
        ("norm_first", "false", "must be true or false, not 'false'"),
        ("conv_strides", [10**9] * 7, ".*lie apart, at most 160,000 samples"),
    ],
)
def test_a_preset_of_kerashub_is_held_to_the_same(name, value, message, keras_folder):
    path = keras_folder / "config.json"
    config = json.loads(path.read_text())
    config["config"][name] = value
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf"{keras_folder}.*{message}"):
        Wav2Vec2Backbone.from_preset(str(keras_folder))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("do_normalize", "false", "must be true or false, not 'false'"),
        ("do_normalize", 1, "must be true or false, not 1"),
        ("sampling_rate", 8000, "is 8000; .*16000 Hz"),
        ("sampling_rate", "16000", "is '16000'; .*16000 Hz"),
    ],
)
def test_audio_of_another_kind_is_refused(key, value, message, transformers_folder):
    change_json(transformers_folder / "preprocessor_config.json", **{key: value})
    with pytest.raises(ValueError, match=rf"preprocessor_config\.json.*`{key}` {message}"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


def test_a_silent_preprocessor_normalises_as_in_transformers(transformers_folder):
    (transformers_folder / "preprocessor_config.json").write_text("{}")
    assert transformers.Wav2Vec2FeatureExtractor().do_normalize
    assert Wav2Vec2Backbone.from_preset(str(transformers_folder)).normalize_waveform


def test_a_header_that_promises_more_than_the_file_is_refused(transformers_folder):
    path = transformers_folder / "model.safetensors"
    contents = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**60) + contents[8:])
    with pytest.raises(ValueError, match="model.safetensors"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


def test_an_array_of_a_huge_shape_without_contents_is_refused(keras_folder):
    path = keras_folder / "model.weights.h5"
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, node: names.append(name) if hasattr(node, "shape") else None)
        del file[names[0]]
        file.create_dataset(names[0], shape=(2**20, 2**20), chunks=(64, 64), dtype="float32")
    with pytest.raises(ValueError, match=str(keras_folder)):
        Wav2Vec2Backbone.from_preset(str(keras_folder))


def test_weights_that_are_no_numbers_are_refused(transformers_folder, keras_folder):
    student = speech_student()
    student.weights[3].assign(np.full(student.weights[3].shape, np.nan))
    student.to_transformers(transformers_folder)
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))
    student.save_to_preset(str(keras_folder / "keras"))
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        Wav2Vec2Backbone.from_preset(str(keras_folder / "keras"))


def test_what_the_caller_gave_is_told_from_what_the_file_holds(transformers_folder):
    with pytest.raises(ValueError, match=r"with the arguments \{'layer_drop': 1.5\}: `layer_drop`"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder), layer_drop=1.5)


def test_a_shard_that_is_not_there_is_missed_by_name(transformers_folder):
    (transformers_folder / "model.safetensors").unlink()
    index = {"weight_map": {"encoder.layer_norm.bias": "model-1.safetensors"}}
    (transformers_folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match=r"model-1\.safetensors"):
        Wav2Vec2Backbone.from_preset(str(transformers_folder))


CALLS = {
    "class": lambda target: {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(target)]},
        "registered_name": None,
    },
    "function": lambda target: {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    },
    "lambda": lambda target: {
        "class_name": "__lambda__",
        "config": {"value": f"open({str(target)!r}, 'w')"},
    },
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", ["itself", "argument"])
def test_a_configuration_that_names_a_program_runs_none(call, place, keras_folder):
    target, path = keras_folder / "was-run", keras_folder / "config.json"
    hostile = CALLS[call](target)
    if place == "itself":
        path.write_text(json.dumps(hostile))
    else:
        config = json.loads(path.read_text())
        config["config"]["hidden_dim"] = hostile
        path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=str(keras_folder)):
        Wav2Vec2Backbone.from_preset(str(keras_folder))
    assert not target.exists()


def test_a_broken_teacher_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=str(tmp_path)):
        TextTeacher.from_preset(str(tmp_path))


def test_a_checkpoint_of_a_huge_shape_is_refused(tmp_path):
    model = UtteranceClassifier(speech_student(), {"intent": ("a", "b")})
    model.compile()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**50,)}
    )
    with zipfile.ZipFile(tmp_path / "state.npz", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    with (
        pytest.warns(UserWarning, match="is broken"),
        pytest.raises(ValueError, match="remove the folder to start anew"),
    ):
        TrainingState(tmp_path).restore(model)
