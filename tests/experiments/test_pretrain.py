import ast
import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest
import scipy.fft

from experiments import memory
from experiments.pretraining import augmentation, clusters
from experiments.pretraining.augmentation import Augmentation
from experiments.pretraining.batches import FrontEnd, SpeechBatches, stretched
from experiments.pretraining.configuration import Pretraining
from experiments.pretraining.recordings import find_recordings, read_waveform
from experiments.pretraining.report import print_report
from experiments.pretraining.run import build_backbone, build_model, pretrain, save_encoder
from pad_keras import callbacks
from pad_keras.models import Wav2Vec2Backbone
from tests.backend import DEVICES, MOST_DEVICES
from tests.data.corpus import add_companions
from tests.experiments.small_run import small_pretraining, write_tones
from tests.small import speech_student

FRONT_END = FrontEnd((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return small_pretraining(tmp_path_factory.mktemp("pretraining"))


@pytest.fixture(scope="module")
def whole(base):
    return pretrain(base)


def test_a_run_leaves_everything_that_it_says(base, whole, capsys):
    assert json.loads((base.folder / "results.json").read_text()) == whole
    assert [[logs["epoch"] for logs in stage] for stage in whole["history"]] == [[0, 1], [0, 1]]
    encoder = Wav2Vec2Backbone.from_preset(str(base.folder / "encoder"))
    assert encoder.mask_time_prob == 0
    start = Wav2Vec2Backbone.from_preset(base.student)
    moved = [
        np.abs(a - b).max() for a, b in zip(encoder.get_weights(), start.get_weights(), strict=True)
    ]
    assert max(moved) > 1e-3
    assert (base.folder / "tensorboard" / "stage-1").is_dir()
    print_report(whole, base.folder)
    assert "stage 2: val_accuracy" in capsys.readouterr().out


def test_a_stopped_run_goes_on_to_the_same_end(base, whole, monkeypatch):
    configuration = dataclasses.replace(base, name="stopped")
    save = callbacks.TrainingState.save

    def save_and_stop(self, model, epoch):
        save(self, model, epoch)
        raise KeyboardInterrupt

    for turn in range(3):
        # JAX goes on with other devices each time.
        devices = DEVICES[turn % len(DEVICES)]
        with monkeypatch.context() as patch:
            patch.setattr(callbacks.TrainingState, "save", save_and_stop)
            with pytest.raises(KeyboardInterrupt):
                pretrain(dataclasses.replace(configuration, devices=devices))
    results = pretrain(configuration)
    for stage, expected in zip(results["history"], whole["history"], strict=True):
        for logs, wanted in zip(stage, expected, strict=True):
            assert logs == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("objective", "name"), [("hubert", "unmasked_weight"), ("wav2vec2", "diversity_weight")]
)
def test_weights_of_losses_reach_the_model(base, objective, name):
    configuration = dataclasses.replace(base, objective=objective, **{name: 0.3})
    backbone = build_backbone(configuration)
    model = build_model(configuration, configuration.stages()[0], backbone)
    assert getattr(model, name) == 0.3


def test_checkpointing_is_of_training_alone(base, tmp_path):
    backbone = build_backbone(dataclasses.replace(base, gradient_checkpointing=True))
    assert backbone.gradient_checkpointing
    save_encoder(backbone, tmp_path / "encoder")
    encoder = Wav2Vec2Backbone.from_preset(str(tmp_path / "encoder"))
    assert not encoder.gradient_checkpointing


def test_another_configuration_does_not_go_on_in_the_same_folder(base, whole):
    with pytest.raises(ValueError, match=r"learning_rate: 0\.001 -> 0\.5"):
        pretrain(dataclasses.replace(base, learning_rate=0.5))


def test_wav2vec2_runs_without_clusters(base):
    results = pretrain(
        dataclasses.replace(
            base, name="contrast", objective="wav2vec2", steps=(2, 2), devices=MOST_DEVICES
        )
    )
    assert [len(stage) for stage in results["history"]] == [2]
    assert "perplexity" in results["history"][0][0]


def test_broken_and_missing_audio_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder"):
        find_recordings([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match=r"expected files that end in \.flac"):
        find_recordings([tmp_path])
    write_tones(tmp_path, 1)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    write_tones(tmp_path / "short", 1, seconds=0.01)
    with pytest.raises(ValueError, match="2 of 3 audio files") as caught:
        find_recordings([tmp_path])
    assert "broken.wav: unreadable" in str(caught.value)
    assert "too short (160 samples at 16000 Hz)" in str(caught.value)


def test_stages_must_fit_together():
    with pytest.raises(ValueError, match="Each stage needs"):
        Pretraining(clusters=(4,), steps=(2, 2))
    with pytest.raises(ValueError, match="`steps` must be at least 2"):
        Pretraining(steps=(1, 2))


def test_other_rates_and_channels_are_read_and_hidden_files_passed_over(tmp_path):
    write_tones(tmp_path, 1, rate=8000)
    add_companions(tmp_path)
    (recording,) = find_recordings([tmp_path, tmp_path / "tone-0.wav"])
    assert recording.samples == 16_000
    assert read_waveform(recording).size == 16_000


def test_mfcc_is_the_textbook_one():
    waveform = np.random.default_rng(0).normal(size=1700).astype("float32")
    found = clusters.mfcc(waveform, FRONT_END)
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (20, 8000))
    edges = 700 * (10 ** (np.linspace(low, high, 42) / 2595) - 1)
    cepstra = []
    for start in range(0, 1700 - 400 + 1, 320):
        frame = waveform[start : start + 400] * np.hamming(400)
        power = np.abs(np.fft.rfft(frame, 512)) ** 2
        bands = np.zeros(40)
        for band in range(40):
            low, middle, high = edges[band : band + 3]
            for index, value in enumerate(power):
                hertz = index * 16_000 / 512
                if low < hertz <= middle:
                    bands[band] += value * (hertz - low) / (middle - low)
                elif middle < hertz < high:
                    bands[band] += value * (high - hertz) / (high - middle)
        cepstra.append(scipy.fft.dct(np.log(bands + 1e-10), norm="ortho")[:13])
    cepstra = np.array(cepstra)
    expected = (cepstra - cepstra.mean(0)) / (cepstra.std(0) + 1e-5)
    assert found.shape == (5, 39)
    np.testing.assert_allclose(found[:, :13], expected, atol=1e-4)


def test_clusters_are_nearest_centres():
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(n, 3)).astype("float32") for n in (20, 30)]
    centres = clusters.fit_clusters(features, 2, num_clusters=4)
    assigned = clusters.assign_clusters(features, centres, 2)
    for frames, found in zip(features, assigned, strict=True):
        distances = [[np.linalg.norm(frame - centre) for centre in centres] for frame in frames]
        assert found.tolist() == np.argmin(distances, axis=1).tolist()
    with pytest.raises(ValueError, match="100 clusters of 50 frames"):
        clusters.fit_clusters(features, 2, num_clusters=100)


def test_clusters_follow_a_change_of_speed():
    labels = np.arange(50)
    assert stretched(labels, 1.0, 50, FRONT_END).tolist() == labels.tolist()
    faster = stretched(labels, 2.0, 25, FRONT_END)
    # A frame of the faster recording begins twice as late in the slower one.
    assert faster.tolist() == [int(np.rint(((320 * i + 200) * 2 - 200) / 320)) for i in range(25)]


def test_distortions_keep_time_and_level():
    generator = np.random.default_rng(0)
    click = np.zeros(16_000, "float32")
    click[8000] = 1.0
    assert augmentation.change_speed(click, 1.25).size == 12_800
    assert abs(augmentation.change_speed(click, 1.25).argmax() - 6400) <= 1
    reverberated = augmentation.reverberate(click, 0.3, generator)
    assert reverberated.argmax() == 8000
    assert np.abs(reverberated[:7999]).max() < 1e-5
    speech = generator.normal(scale=0.1, size=16_000).astype("float32")
    noise = augmentation.add_noise(speech, 10.0, 1.0, generator) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.1)


def recordings(tmp_path, count=6):
    for index in range(count):
        write_tones(tmp_path / str(index), 1, seconds=0.5 + 0.3 * index)
    return find_recordings([tmp_path])


def test_a_pass_holds_each_recording_once_and_the_stream_is_reproducible(tmp_path):
    found = recordings(tmp_path)
    batches = SpeechBatches(
        found, FRONT_END, steps=2, batch_seconds=2.0, augmentation=Augmentation(), seed=3
    )
    again = SpeechBatches(
        found, FRONT_END, steps=2, batch_seconds=2.0, augmentation=Augmentation(), seed=3
    )
    again.epoch = 1
    for index in range(2):
        first, second = batches.batch(2 + index), again[index]
        for x, y in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
            np.testing.assert_array_equal(x, y)
    positions = [p for _, examples in batches._plan(0) for p, _ in examples]
    assert sorted(positions) == list(range(6))


def test_devices_can_share_every_batch(tmp_path):
    found = recordings(tmp_path)
    batches = SpeechBatches(found, FRONT_END, steps=2, batch_seconds=6.0, multiple_of=2)
    plan = batches._plan(0)
    assert plan
    assert all(len(examples) % 2 == 0 for _, examples in plan)
    alone = SpeechBatches(found, FRONT_END, steps=2, batch_seconds=6.0)
    assert any(len(examples) % 2 for _, examples in alone._plan(0))
    with pytest.raises(ValueError, match="6 recordings make no batch of a multiple of 7"):
        SpeechBatches(found, FRONT_END, steps=2, multiple_of=7).batch(0)


def test_processes_share_what_one_would_make(tmp_path):
    options = {"steps": 2, "batch_seconds": 6.0, "multiple_of": 2, "augmentation": Augmentation()}
    whole = SpeechBatches(recordings(tmp_path), FRONT_END, **options)
    halves = [SpeechBatches(whole.recordings, FRONT_END, share=(i, 2), **options) for i in (0, 1)]
    for number in range(whole.batches_per_pass):
        found = [half.batch(number) for half in halves]
        inputs, _ = whole.batch(number)
        assert len(inputs["waveform"]) == 2 * len(found[0][0]["waveform"])
        for name, rows in inputs.items():
            np.testing.assert_array_equal(np.concatenate([one[name] for one, _ in found]), rows)


def test_what_is_measured_is_the_same_in_every_epoch(tmp_path):
    found = recordings(tmp_path)
    options = {"steps": 3, "batch_seconds": 4.0, "max_seconds": 1.2}
    goes_on = SpeechBatches(found, FRONT_END, **options)
    same = SpeechBatches(found, FRONT_END, goes_on=False, **options)
    first = [same[index][0]["waveform"] for index in range(3)]
    for batches in (goes_on, same):
        batches.on_epoch_end()
    for index, waveform in enumerate(first):
        np.testing.assert_array_equal(same[index][0]["waveform"], waveform)
    assert any(
        goes_on[index][0]["waveform"].shape != waveform.shape
        or (goes_on[index][0]["waveform"] != waveform).any()
        for index, waveform in enumerate(first)
    )


def test_batches_line_up_with_their_clusters(tmp_path):
    found = recordings(tmp_path)
    labels = [
        np.full(FRONT_END.frames(recording.samples), index, "int16")
        for index, recording in enumerate(found)
    ]
    batches = SpeechBatches(
        found, FRONT_END, steps=9, clusters=labels, batch_seconds=4.0, max_seconds=1.2
    )
    encoder = speech_student()
    for number in range(batches.batches_per_pass):
        inputs, targets = batches.batch(number)
        mask = keras.ops.convert_to_numpy(encoder(inputs)["mask"])
        assert ((targets >= 0) == mask).all()
        assert inputs["waveform"].shape[1] <= 1.5 * 16_000
        for row, target in zip(inputs["waveform"], targets, strict=True):
            tone = read_waveform(found[target[0]])
            real = np.trim_zeros(row, "b")
            starts = range(0, tone.size - real.size + 1, 320)
            assert min(np.abs(tone[s : s + real.size] - real).max() for s in starts) < 1e-3


def imported_modules(path):
    """What a file imports when it is imported, and the packages around it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def test_pretraining_needs_no_tensorflow():
    # Not by hiding it: KerasHub 0.31 imports it, 0.32 does without.
    todo, seen = {"experiments.pretrain"}, set()
    while todo:
        module = todo.pop()
        seen.add(module)
        folder = pathlib.Path(*module.split("."))
        for path in (folder.with_suffix(".py"), folder / "__init__.py"):
            if path.is_file():
                names = set(imported_modules(path))
                assert "tensorflow" not in names, path
                todo |= names - seen
    assert {"experiments.pretraining.run", "pad_keras.models.wav2vec2.backbone"} <= seen
    assert "pad_keras.soundfile_decoder" in seen


def test_too_little_memory_is_told_before_training(base, whole, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    message = r"2 utterances of up to 1\.0 s .*or lower --batch-seconds"
    with pytest.raises(ValueError, match=message):
        pretrain(dataclasses.replace(base, name="large"))
    # What is done takes none.
    assert pretrain(base) == whole
