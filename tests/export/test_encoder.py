import pathlib
import runpy
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pad_keras import export_saved_model
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import BACKEND

SMALL = {"num_layers": 2, "conv_filters": (16,) * 7, "hidden_dim": 32, "num_heads": 2}
LOAD_ALONE = """
import sys
sys.modules["pad_keras"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
outputs = serve(waveform=tf.ones((1, 1600)), num_samples=tf.constant([1600]))
assert "tensorflow_io" not in sys.modules
np.save(sys.argv[2], outputs["sequence_output"].numpy())
"""


def waveforms(*lengths):
    generator = np.random.default_rng(1)
    waveform = np.zeros((len(lengths), max(lengths)), "float32")
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = generator.normal(scale=0.1, size=length)
    return waveform, np.array(lengths, "int32")


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(3)
    return Wav2Vec2Backbone.from_preset("mini", intermediate_dim=64, **SMALL)


@pytest.fixture(scope="module")
def folder(backbone, tmp_path_factory):
    return export_saved_model(backbone, tmp_path_factory.mktemp("export") / "student")


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


def call(signature, waveform, lengths):
    outputs = signature(waveform=tf.constant(waveform), num_samples=tf.constant(lengths))
    return {name: value.numpy() for name, value in outputs.items()}


def test_serves_what_the_model_computes(backbone, signatures):
    waveform, lengths = waveforms(8000, 5000)
    served = call(signatures["serving_default"], waveform, lengths)
    mask = np.arange(8000) < lengths[:, None]
    expected = backbone.predict_on_batch({"waveform": waveform, "padding_mask": mask})
    for name in ("sequence_output", "significance"):
        difference = np.abs(served[name] - expected[name]) * (
            served["mask"][..., None] if served[name].ndim == 3 else served["mask"]
        )
        assert difference.max() < 1e-4
    embedded = call(signatures["embed"], waveform, lengths)
    np.testing.assert_allclose(embedded["embeddings"], served["sequence_output"], atol=1e-6)


def test_any_length_alone_as_in_a_batch(signatures):
    waveform, lengths = waveforms(1600, 160_000, 16_000)
    together = call(signatures["serving_default"], waveform, lengths)
    for row, length in enumerate(lengths):
        alone = call(signatures["serving_default"], waveform[row : row + 1, :length], [length])
        frames = alone["mask"].shape[1]
        assert together["mask"][row].sum() == frames
        for name in ("sequence_output", "significance"):
            np.testing.assert_allclose(together[name][row, :frames], alone[name][0], atol=1e-4)


def test_padding_may_hold_anything(signatures):
    waveform, lengths = waveforms(4000, 2000)
    clean = call(signatures["serving_default"], waveform, lengths)
    waveform[1, 2000:] = np.nan
    dirty = call(signatures["serving_default"], waveform, lengths)
    np.testing.assert_array_equal(clean["significance"], dirty["significance"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, n: (w, [399, 4000]), "Too short"),
        (lambda w, n: (w, [0, 4000]), "Too short"),
        (lambda w, n: (w, [4001, 4000]), "greater than the width"),
        (lambda w, n: (w, [4000]), "one length an utterance"),
        (lambda w, n: (w * np.nan, n), "NaN or infinity"),
        (lambda w, n: (w * np.inf, n), "NaN or infinity"),
        (lambda w, n: (w[:, :0], n), "greater than the width"),
        (lambda w, n: (w[:0], n[:0]), "batch is empty"),
    ],
)
def test_refuses_what_cannot_be_served_and_goes_on(signatures, change, message):
    waveform, lengths = waveforms(4000, 4000)
    bad_waveform, bad_lengths = change(waveform, lengths)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(signatures["serving_default"], bad_waveform, np.array(bad_lengths, "int32"))
    assert call(signatures["serving_default"], waveform, lengths)["mask"].all()


def test_loads_with_tensorflow_alone(folder, signatures, tmp_path):
    output = tmp_path / "output.npy"
    subprocess.run(
        [sys.executable, "-c", LOAD_ALONE, str(folder), str(output)], cwd=tmp_path, check=True
    )
    here = call(signatures["serving_default"], np.ones((1, 1600), "float32"), [1600])
    np.testing.assert_allclose(np.load(output), here["sequence_output"], atol=1e-5)


def test_replaces_an_export_only_when_asked(backbone, folder):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_saved_model(backbone, folder)


def test_refuses_other_models(tmp_path):
    with pytest.raises(TypeError, match="Wav2Vec2Backbone"):
        export_saved_model(keras.Sequential(), tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TFSMLayer is of Keras on TensorFlow")
def test_is_a_layer_of_keras(folder, signatures):
    waveform, lengths = waveforms(4000, 2000)
    inputs = {
        "waveform": keras.Input((None,), name="waveform"),
        "num_samples": keras.Input((), dtype="int32", name="num_samples"),
    }
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
    model = keras.Model(inputs, layer(inputs))
    predicted = model.predict({"waveform": waveform, "num_samples": lengths}, verbose=0)
    served = call(signatures["serving_default"], waveform, lengths)
    assert predicted.keys() == served.keys()
    np.testing.assert_allclose(predicted["significance"], served["significance"], atol=1e-6)


def saved_model_cli(*arguments):
    """Run TensorFlow's tool of that name, which is installed beside Python."""
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    told = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True)
    assert not told.returncode, told.stderr[-2000:]
    return told.stdout


def test_runs_from_the_command_line(folder, signatures, tmp_path):
    waveform, lengths = waveforms(4000, 2000)
    for name, array in (("waveform", waveform), ("num_samples", lengths)):
        np.save(tmp_path / f"{name}.npy", array)
    files = f"waveform={tmp_path}/waveform.npy;num_samples={tmp_path}/num_samples.npy"
    where = ("--dir", folder, "--tag_set", "serve", "--signature_def", "serving_default")
    saved_model_cli("run", *where, "--inputs", files, "--outdir", tmp_path)
    served = call(signatures["serving_default"], waveform, lengths)
    for name, array in served.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), array, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16"])
def test_outputs_are_float32_whatever_the_model_computes_in(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    half = Wav2Vec2Backbone.from_preset("mini", intermediate_dim=64, **SMALL)
    signatures = tf.saved_model.load(str(export_saved_model(half, tmp_path / "half"))).signatures
    # Silence, whose variance is 0.
    served = call(signatures["embed"], np.zeros((1, 1600), "float32"), [1600])
    assert served["embeddings"].dtype == served["significance"].dtype == np.float32
    assert np.isfinite(served["embeddings"]).all()
    np.testing.assert_allclose(served["significance"].sum(), 1, atol=1e-3)


def test_the_command_explains_itself(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pad_keras.export", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("pad_keras.export", run_name="__main__")
    assert "MODEL.keras FOLDER" in capsys.readouterr().out
