import warnings

import numpy as np
import pytest
from keras import ops

from experiments import memory
from pad_keras.models.wav2vec2.memory import training_bytes
from tests.backend import BACKEND
from tests.small import speech_student

SECONDS = 2.0


def trained(encoder):
    return sum(ops.convert_to_numpy(weight).size for weight in encoder.trainable_weights)


def kept_numbers(encoder, samples):
    """What an utterance's backward pass reads, tensor by tensor: floats, and float32 scores."""
    outputs, floats = samples, 0
    for index, filters in enumerate(encoder.conv_filters):
        outputs = (outputs - encoder.conv_kernels[index]) // encoder.conv_strides[index] + 1
        floats += sum(outputs * filters for _ in ("convolved", "activated"))
    scores = encoder.num_heads * outputs * outputs  # A gradient's.
    for _ in range(encoder.num_layers):
        names = ("input", "query", "key", "value", "context", "sum", "norm", "last sum")
        floats += sum(outputs * encoder.hidden_dim for _ in names)
        floats += sum(outputs * encoder.intermediate_dim for _ in ("before GELU", "after"))
        scores += encoder.num_heads * outputs * outputs
    return floats, scores


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("mixed_bfloat16", 2)])
def test_it_counts_what_the_backward_pass_reads(dtype, size):
    encoder = speech_student(dtype=dtype)
    floats, scores = kept_numbers(encoder, 32000)
    expected = 3 * (size * floats + 4 * scores)
    assert training_bytes(encoder, 3, 32000, has_moments=True) == expected
    assert training_bytes(encoder, 3, 32000) == expected + 8 * trained(encoder)


def test_gradients_count_where_they_are_more():
    encoder = speech_student()
    assert training_bytes(encoder, 1, 800, has_moments=True) == 4 * trained(encoder)


@pytest.mark.skipif(BACKEND != "torch", reason="torch alone tells what it keeps")
@pytest.mark.parametrize("frozen", [True, False])
def test_the_backward_pass_keeps_as_much(frozen):
    import torch

    encoder = speech_student(dim=32, freeze_feature_encoder=frozen, intermediate_dim=64)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    waveform = np.random.default_rng(0).normal(size=(2, 64000)).astype("float32")
    inputs = {"waveform": waveform, "padding_mask": np.ones(waveform.shape, "bool")}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = encoder(inputs, training=True)["sequence_output"]
    foretold = training_bytes(encoder, 2, 64000, has_moments=True)
    assert outputs.requires_grad
    assert 0.4 * sum(kept.values()) < foretold < 1.1 * sum(kept.values())


def test_checkpointing_and_frozen_or_cached_front_ends_take_less():
    sizes = [
        training_bytes(speech_student(**options), 2, 160_000, from_frames=cached)
        for options, cached in (
            ({}, False),
            ({"freeze_feature_encoder": True}, False),
            ({"freeze_feature_encoder": True}, True),
            ({"freeze_feature_encoder": True, "gradient_checkpointing": True}, True),
        )
    ]
    assert sizes[0] > sizes[1] >= sizes[2] > sizes[3] > 0


def check(monkeypatch, share):
    """Check an update on a machine whose memory is `share` of what the update needs."""
    encoder = speech_student()
    needed = training_bytes(encoder, 4, int(SECONDS * 16000))
    monkeypatch.setattr(memory, "available_bytes", lambda: share and int(share * needed))
    memory.check_memory(
        encoder, [(1, SECONDS), (4, SECONDS)], checkpointing="--check", instead="take less"
    )


def test_what_cannot_fit_is_refused_before(monkeypatch):
    with pytest.raises(
        ValueError, match=r"4 utterances of up to 2\.0 s .* free\. Set --check, or take less\.$"
    ):
        check(monkeypatch, 0.9)


def test_what_hardly_fits_is_warned_of(monkeypatch):
    with pytest.warns(UserWarning, match="If it runs out, set --check, or take less"):
        check(monkeypatch, 1.1)


@pytest.mark.parametrize("share", [10, None], ids=["much", "unknown"])
def test_what_fits_passes_in_silence(monkeypatch, share):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(monkeypatch, share)


def test_a_frozen_encoder_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    encoder = speech_student()
    encoder.trainable = False
    memory.check_memory(encoder, [(4, SECONDS)], checkpointing="--check", instead="take less")


def test_what_is_set_is_not_advised(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    encoder = speech_student(gradient_checkpointing=True)
    with pytest.raises(ValueError, match=r"free\. Take less\.$"):
        memory.check_memory(encoder, [(4, SECONDS)], checkpointing="--check", instead="take less")


MEMINFO = "MemTotal: 900 kB\nMemAvailable: 500 kB\nSwapFree: 100 kB\nHugePages_Total: 0\n"
STAT = "anon 1\ninactive_file 30000\nactive_file 20000\nslab_reclaimable 1000\n"


def machine(folder, monkeypatch, meminfo=MEMINFO, **limits):
    """Available bytes of a process in the group `job/step`, of which each may have a limit."""
    (folder / "meminfo").write_text(meminfo)
    (folder / "cgroup").write_text("1:memory:/old\n0::/job/step\n")
    for name, limit in limits.items():
        group = {"root": folder, "job": folder / "job", "step": folder / "job" / "step"}[name]
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text("200000\n")
        (group / "memory.stat").write_text(STAT)
    monkeypatch.setattr(memory, "_MEMINFO", folder / "meminfo")
    monkeypatch.setattr(memory, "_OWN_CGROUP", folder / "cgroup")
    monkeypatch.setattr(memory, "_CGROUPS", folder)
    return memory.available_bytes()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 600 * 1024),
        ({"root": "max", "step": "max"}, 600 * 1024),
        ({"step": 300000}, 300000 - 200000 + 51000 + 100 * 1024),
        ({"job": 250000, "step": 300000}, 250000 - 200000 + 51000 + 100 * 1024),
        ({"root": 10**9}, 600 * 1024),
    ],
)
def test_available_memory_is_that_of_the_machine_or_the_container(
    tmp_path, monkeypatch, limits, expected
):
    assert machine(tmp_path, monkeypatch, **limits) == expected


def test_other_systems_do_not_tell(tmp_path, monkeypatch):
    assert machine(tmp_path, monkeypatch, "something else\n") is None
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "nothing")
    assert memory.available_bytes() is None
