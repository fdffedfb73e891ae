import types
import warnings

import pytest

from experiments import memory
from experiments.distillation import run as distillation
from experiments.distillation.configuration import Configuration
from experiments.pretraining import run as pretraining
from experiments.pretraining.configuration import Pretraining
from pad_keras.models.wav2vec2.memory import training_bytes
from tests.small import speech_student

SECONDS = 2.0


def kept_numbers(encoder, samples):
    """What an utterance's backward pass reads, tensor by tensor: floats, and float32 scores."""
    outputs, floats = samples, 0
    for index, filters in enumerate(encoder.conv_filters):
        outputs = (outputs - encoder.conv_kernels[index]) // encoder.conv_strides[index] + 1
        of_convolution = [outputs * filters]
        if index == 0 or encoder.conv_norm == "layer":
            of_convolution.append(outputs * filters)
        of_activation = [outputs * filters]
        floats += sum(of_convolution + of_activation)
    scores = 0
    for _ in range(encoder.num_layers):
        names = ("input", "query", "key", "value", "context", "sum", "norm", "last sum")
        floats += sum(outputs * encoder.hidden_dim for _ in names)
        floats += sum(outputs * encoder.intermediate_dim for _ in ("before GELU", "after"))
        scores += encoder.num_heads * outputs * outputs
    return floats, scores


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("mixed_bfloat16", 2)])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_it_counts_what_the_backward_pass_reads(dtype, size, norm):
    encoder = speech_student(dtype=dtype, conv_norm=norm)
    gradients = sum(weight.numpy().size for weight in encoder.trainable_weights)
    floats, scores = kept_numbers(encoder, 32000)
    expected = 3 * (size * floats + 4 * scores) + 4 * gradients
    assert training_bytes(encoder, 3, 32000) == expected


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
    memory.check_memory(encoder, 4, SECONDS, "take less")


def test_what_cannot_fit_is_refused_before(monkeypatch):
    with pytest.raises(ValueError, match=r"4 utterances of up to 2\.0 s .* free\. Take less\.$"):
        check(monkeypatch, 0.9)


def test_what_hardly_fits_is_warned_of(monkeypatch):
    with pytest.warns(UserWarning, match="If it runs out, take less"):
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
    memory.check_memory(encoder, 4, SECONDS, "take less")


def machine(folder, monkeypatch, meminfo, **container):
    (folder / "meminfo").write_text(meminfo)
    for name, text in container.items():
        (folder / name.replace("_", ".")).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", folder / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", folder)
    return memory.available_bytes()


MEMINFO = "MemTotal: 900 kB\nMemAvailable: 500 kB\nSwapFree: 100 kB\nHugePages_Total: 0\n"


def test_available_memory_is_that_of_the_machine(tmp_path, monkeypatch):
    assert machine(tmp_path, monkeypatch, MEMINFO) == 600 * 1024


@pytest.mark.parametrize(
    ("limit", "expected"), [("300000\n", 300000 - 200000 + 50000), ("max\n", 600 * 1024)]
)
def test_a_container_may_have_less(tmp_path, monkeypatch, limit, expected):
    container = {
        "memory_max": limit,
        "memory_current": "200000\n",
        "memory_stat": "anon 1\ninactive_file 50000\n",
    }
    assert machine(tmp_path, monkeypatch, MEMINFO, **container) == expected


def test_other_systems_do_not_tell(tmp_path, monkeypatch):
    assert machine(tmp_path, monkeypatch, "something else\n") is None
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "nothing")
    assert memory.available_bytes() is None


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)


UTTERANCE = types.SimpleNamespace(seconds=SECONDS)


@pytest.mark.usefixtures("no_memory")
def test_distillation_says_so_before_it_trains(tmp_path):
    distiller = types.SimpleNamespace(
        student=speech_student(), teacher=types.SimpleNamespace(tokenizer=None)
    )
    train = distillation.Train([UTTERANCE], units=None)
    with pytest.raises(ValueError, match=r"of up to 2\.0 s .*--training\.gradient-checkpointing"):
        distillation.fit(Configuration(), tmp_path, distiller, train, valid=None)


@pytest.mark.usefixtures("no_memory")
def test_pretraining_says_so_before_it_trains(tmp_path):
    settings = Pretraining(tiny=True).resolved()
    stage = settings.stages()[0]
    with pytest.raises(ValueError, match=r"3 utterances of up to 2\.0 s .*--batch-seconds"):
        pretraining.fit_stage(settings, tmp_path, stage, {}, {}, speech_student())
