"""The backbone equals the reference implementation, both ways."""

import json
import os
import shutil
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.models.wav2vec2 import Wav2Vec2Backbone, transformers_config
from tests.models.wav2vec2.variants import VARIANTS, build_reference

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

EVERY_VARIANT = pytest.mark.parametrize("variant", VARIANTS)


def run_reference(model, waveform, padding_mask=None):
    """Hidden states (with the output as the last), attention maps; all NumPy."""
    mask = None if padding_mask is None else torch.tensor(padding_mask.astype("int64"))
    with torch.no_grad():
        out = model(
            torch.tensor(waveform),
            attention_mask=mask,
            output_hidden_states=True,
            output_attentions=True,
        )
    states = [*out.hidden_states[:-1], out.last_hidden_state]
    return np.stack([s.numpy() for s in states], 1), [a.numpy() for a in out.attentions]


def run(backbone, waveform, padding_mask=None):
    """Outputs of the backbone as NumPy arrays."""
    if padding_mask is None:
        padding_mask = np.ones(waveform.shape, "bool")
    outputs = backbone({"waveform": waveform, "padding_mask": padding_mask})
    return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


def relative_error(value, expected):
    """Largest difference relative to the largest expected magnitude."""
    return np.abs(value - expected).max() / np.abs(expected).max()


@EVERY_VARIANT
def test_hidden_states_and_output_equal_the_reference(variant, reference, waveforms):
    model, folder = reference(variant)
    backbone = Wav2Vec2Backbone.from_preset(str(folder))
    states, _ = run_reference(model, waveforms["waveform"])
    outputs = run(backbone, waveforms["waveform"])
    assert relative_error(outputs["hidden_states"], states) < 1e-5
    assert relative_error(outputs["sequence_output"], states[:, -1]) < 1e-5


@EVERY_VARIANT
def test_a_padded_batch_equals_the_reference_when_asked_to(variant, reference, waveforms):
    model, folder = reference(variant)
    backbone = Wav2Vec2Backbone.from_preset(str(folder), batch_independent=False)
    states, _ = run_reference(model, **waveforms)
    outputs = run(backbone, **waveforms)
    real = outputs["mask"]
    lengths = torch.tensor(waveforms["padding_mask"].sum(1))
    assert real.sum(1).tolist() == model._get_feat_extract_output_lengths(lengths).tolist()
    for layer in range(states.shape[1]):
        ours, theirs = outputs["hidden_states"][:, layer], states[:, layer]
        assert relative_error(ours[real], theirs[real]) < 1e-5


@EVERY_VARIANT
def test_the_prior_is_the_received_attention_of_the_reference(variant, reference, waveforms):
    model, folder = reference(variant)
    backbone = Wav2Vec2Backbone.from_preset(str(folder), batch_independent=False)
    _, attentions = run_reference(model, **waveforms)
    outputs = run(backbone, **waveforms)
    for row, count in enumerate(outputs["mask"].sum(1)):
        expected = np.zeros(outputs["mask"].shape[1])
        for scores in attentions:
            for query in range(count):
                expected += scores[row, :, query].mean(0) / count / len(attentions)
        np.testing.assert_allclose(outputs["significance"][row], expected, atol=1e-6)
        assert (outputs["significance"][row, count:] == 0).all()


@EVERY_VARIANT
def test_written_back_transformers_reads_it_alike(variant, reference, waveforms, tmp_path):
    model, folder = reference(variant)
    Wav2Vec2Backbone.from_preset(str(folder)).to_transformers(tmp_path)
    written, report = type(model).from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    expected = model.state_dict()
    assert expected.keys() == written.state_dict().keys()
    for name, value in written.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    states, _ = run_reference(written.eval(), waveforms["waveform"])
    np.testing.assert_array_equal(states, run_reference(model, waveforms["waveform"])[0])


def copy_checkpoint(folder, target, arrays):
    """A copy of a checkpoint's folder with other weights, as a PyTorch file."""
    shutil.copy(folder / "config.json", target)
    torch.save(arrays, target / "pytorch_model.bin")
    return str(target)


def assert_same_weights(backbone, other):
    for ours, theirs in zip(backbone.weights, other.weights, strict=True):
        if "seed_generator" not in ours.path:
            np.testing.assert_array_equal(
                ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), err_msg=ours.path
            )


@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
@pytest.mark.parametrize("naming", ["weight_", "parametrizations.weight.original"])
def test_pytorch_files_load_under_every_naming(prefix, naming, reference, tmp_path):
    model, folder = reference("wav2vec2-base")
    arrays = {}
    for name, value in model.state_dict().items():
        if naming == "weight_":
            name = name.replace("parametrizations.weight.original0", "weight_g")
            name = name.replace("parametrizations.weight.original1", "weight_v")
        arrays[prefix + name] = value
    path = copy_checkpoint(folder, tmp_path, arrays)
    assert_same_weights(
        Wav2Vec2Backbone.from_preset(path), Wav2Vec2Backbone.from_preset(str(folder))
    )


@pytest.mark.parametrize("head", ["Wav2Vec2ForPreTraining", "Wav2Vec2ForCTC"])
def test_task_heads_are_left_out(head, reference, tmp_path):
    model, folder = reference("wav2vec2-base")
    with_head = getattr(transformers, head)(model.config)
    with_head.wav2vec2.load_state_dict(model.state_dict())
    with_head.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        backbone = Wav2Vec2Backbone.from_preset(str(tmp_path))
    assert_same_weights(backbone, Wav2Vec2Backbone.from_preset(str(folder)))


def test_shards_load_through_their_index(reference, tmp_path):
    model, folder = reference("hubert-base")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert_same_weights(
        Wav2Vec2Backbone.from_preset(str(tmp_path)), Wav2Vec2Backbone.from_preset(str(folder))
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_checkpoints_load_as_float32(dtype, tmp_path):
    model = build_reference("wav2vec2-large").to(getattr(torch, dtype))
    model.save_pretrained(tmp_path)
    backbone = Wav2Vec2Backbone.from_preset(str(tmp_path))
    weight = model.encoder.layers[1].attention.k_proj.weight.float().detach().numpy()
    kernel = backbone.transformer_layers[1].attention.key.kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel), weight.T)


def test_missing_weights_are_named(reference, tmp_path):
    model, folder = reference("wav2vec2-base")
    arrays = dict(model.state_dict())
    del arrays["encoder.layers.1.attention.v_proj.bias"]
    path = copy_checkpoint(folder, tmp_path, arrays)
    with pytest.raises(ValueError, match=r"lacks 1 .*encoder\.layers\.1\.attention\.v_proj\.bias"):
        Wav2Vec2Backbone.from_preset(path)


def test_a_missing_mask_vector_is_no_error(reference, tmp_path):
    model, folder = reference("wav2vec2-base")
    arrays = dict(model.state_dict())
    del arrays["masked_spec_embed"]
    Wav2Vec2Backbone.from_preset(copy_checkpoint(folder, tmp_path, arrays))


def test_unexpected_weights_are_named(reference):
    _, folder = reference("wav2vec2-base")
    with pytest.warns(UserWarning, match=r"encoder\.layers\.1\.attention\.k_proj\.bias"):
        Wav2Vec2Backbone.from_preset(str(folder), num_layers=1)


def test_a_weight_of_another_shape_is_named(reference):
    _, folder = reference("wav2vec2-base")
    with pytest.raises(ValueError, match=r"intermediate_dense.* \(40.*needs \(44"):
        Wav2Vec2Backbone.from_preset(str(folder), intermediate_dim=44)


def test_a_pickle_with_code_is_not_run(reference, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    _, folder = reference("wav2vec2-base")
    path = copy_checkpoint(folder, tmp_path, {"weight": Payload()})
    with pytest.raises(Exception, match="(?i)weights.only"):
        Wav2Vec2Backbone.from_preset(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "..", "a/b.bin"])
def test_an_index_cannot_point_outside_its_folder(shard, reference, tmp_path):
    _, folder = reference("wav2vec2-base")
    shutil.copy(folder / "config.json", tmp_path)
    index = {"weight_map": {"masked_spec_embed": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="is not the name of a shard"):
        Wav2Vec2Backbone.from_preset(str(tmp_path))


def test_a_folder_without_weights_says_what_is_wanted(reference, tmp_path):
    _, folder = reference("wav2vec2-base")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors.*pytorch_model\.bin"):
        Wav2Vec2Backbone.from_preset(str(tmp_path))
    assert Wav2Vec2Backbone.from_preset(str(tmp_path), load_weights=False).hidden_dim == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "gelu_new"),
        ("feat_extract_activation", "relu"),
        ("add_adapter", True),
        ("adapter_attn_dim", 16),
        ("feat_extract_norm", "batch"),
        ("model_type", "bert"),
    ],
)
def test_a_config_that_we_do_not_compute_is_refused(key, value, reference, tmp_path):
    _, folder = reference("wav2vec2-base")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(ValueError, match=f"`{key}`.*{value}"):
        Wav2Vec2Backbone.from_preset(str(tmp_path), load_weights=False)


@pytest.mark.parametrize("model_type", ["wav2vec2", "hubert"])
def test_a_silent_config_means_what_the_reference_assumes(model_type, tmp_path):
    config = transformers.AutoConfig.for_model(model_type).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    silent = transformers_config.read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    spoken = transformers_config.read_config(tmp_path)
    assert {k: v if not isinstance(v, list) else tuple(v) for k, v in spoken.items()} == silent


def test_training_rates_survive_the_round_trip(small, tmp_path):
    rates = {
        "hidden_dropout": 0.15,
        "attention_dropout": 0.25,
        "activation_dropout": 0.35,
        "feature_projection_dropout": 0.45,
        "layer_drop": 0.05,
        "mask_time_prob": 0.06,
        "mask_time_length": 3,
        "mask_feature_prob": 0.07,
        "mask_feature_length": 4,
    }
    small(**rates).to_transformers(tmp_path)
    read = Wav2Vec2Backbone.from_preset(str(tmp_path))
    assert {name: getattr(read, name) for name in rates} == rates


def test_the_mask_vector_survives_without_masking(small, tmp_path):
    backbone = small(mask_time_prob=0.0)
    backbone.to_transformers(tmp_path)
    model = transformers.Wav2Vec2Model.from_pretrained(tmp_path)
    vector = ops.convert_to_numpy(backbone.spec_augment.mask_embedding)
    np.testing.assert_array_equal(model.masked_spec_embed.detach().numpy(), vector)
    assert not model.config.apply_spec_augment
    assert Wav2Vec2Backbone.from_preset(str(tmp_path)).mask_time_prob == 0


@pytest.mark.parametrize("normalize", [False, True])
def test_waveform_normalisation_follows_the_feature_extractor(normalize, small, tmp_path):
    backbone = small(normalize_waveform=normalize, conv_norm="layer")
    backbone.to_transformers(tmp_path)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path).eval()
    waveform = 0.1 + 0.05 * np.random.default_rng(0).normal(size=1600).astype("float32")
    features = extractor(waveform, sampling_rate=16000, return_tensors="np")
    assert "attention_mask" in features
    states, _ = run_reference(model, features["input_values"].astype("float32"))
    read = Wav2Vec2Backbone.from_preset(str(tmp_path))
    assert read.normalize_waveform == normalize
    outputs = run(read, waveform[None])
    assert relative_error(outputs["sequence_output"], states[:, -1]) < 1e-5


def test_a_failed_write_leaves_the_old_file(small, tmp_path, monkeypatch):
    small().to_transformers(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        small(num_layers=1).to_transformers(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["config.json", "model.safetensors", "preprocessor_config.json"]


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_hub_repository_loads_with_one_weight_format(name, reference, tmp_path, monkeypatch):
    import fnmatch

    model, folder = reference("wav2vec2-base")
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    shutil.copytree(folder, hub)
    cache.mkdir()
    torch.save(model.state_dict(), hub / "pytorch_model.bin")
    (hub / "malware.py").write_text("")
    if name == "pytorch_model.bin":
        (hub / "model.safetensors").unlink()

    def snapshot_download(repository, allow_patterns):
        assert repository == "facebook/wav2vec2-base"
        for path in hub.iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, cache)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    backbone = Wav2Vec2Backbone.from_preset("hf://facebook/wav2vec2-base")
    assert sorted(path.name for path in cache.iterdir()) == sorted(["config.json", name])
    assert_same_weights(backbone, Wav2Vec2Backbone.from_preset(str(folder)))


def test_a_path_without_a_model_is_named(tmp_path):
    run = tmp_path / "run"
    (run / "student").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="No config.json in .*run'; a hub's is hf://"):
        Wav2Vec2Backbone.from_preset(str(run))
    (run / "student" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="did you mean .*student?"):
        Wav2Vec2Backbone.from_preset(str(run))
    with pytest.raises(FileNotFoundError, match="No config.json in 'facebook/wav2vec2-base'"):
        Wav2Vec2Backbone.from_preset("facebook/wav2vec2-base")
