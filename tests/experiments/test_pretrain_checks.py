import dataclasses
import math
import shutil
import struct

import numpy as np
import pytest
import soundfile

from experiments.pretraining import run
from experiments.pretraining.augmentation import Augmentation
from experiments.pretraining.batches import FrontEnd
from experiments.pretraining.configuration import Pretraining
from experiments.pretraining.fingerprints import clusters_fingerprint
from experiments.pretraining.recordings import (
    Recording,
    find_recordings,
    read_waveform,
    recordings_hash,
)
from tests.experiments.small_run import small_pretraining, write_tones


@pytest.fixture
def base(tmp_path):
    return small_pretraining(tmp_path)


def cluster_only(configuration):
    """Be killed between the clusters of the first stage and its first checkpoint.

    Returns:
        Dict of the clusters that the stage was given, and the file that they are kept in.
    """
    given = {}

    def kill(configuration, folder, stage, corpora, clusters, backbone):
        given.update(clusters)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "fit_stage", kill)
        with pytest.raises(KeyboardInterrupt):
            run.pretrain(configuration)
    return given, configuration.folder / "stage-0" / "clusters.npz"


def test_clusters_of_other_audio_number_or_seed_are_refused(base, tmp_path):
    _, path = cluster_only(base)
    kept = path.read_bytes()
    write_tones(tmp_path / "others", 4, seconds=1.1)
    for changes, differing in (
        ({"audio": (tmp_path / "others",)}, "recordings of audio: '"),
        ({"valid": (tmp_path / "others",)}, "recordings of valid: '"),
        ({"clusters": (3, 5)}, "clusters: 4 -> 3"),
        ({"seed": 5}, "seed: 0 -> 5"),
    ):
        with pytest.raises(ValueError, match=f"{differing}.*or another --name") as caught:
            run.pretrain(dataclasses.replace(base, **changes))
        assert str(path) in str(caught.value)
    assert path.read_bytes() == kept


def test_clusters_that_do_not_tell_what_they_are_of_are_refused(base):
    _, path = cluster_only(base)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "fingerprint"}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="clusters: None -> 4"):
        run.pretrain(base)


def test_clusters_of_mfcc_serve_smaller_batches_those_of_hidden_states_their_run_alone(base):
    clusters, path = cluster_only(base)
    kept = path.read_bytes()
    smaller = dataclasses.replace(base, batch_seconds=1.0)
    again, _ = cluster_only(smaller)
    assert path.read_bytes() == kept
    for one, other in zip(clusters["audio"], again["audio"], strict=True):
        np.testing.assert_array_equal(one, other)
    corpora = {name: find_recordings(getattr(base, name)) for name in ("audio", "valid")}
    mfcc, hidden = (
        [clusters_fingerprint(c, corpora, stage, FrontEnd((10,), (5,))) for c in (base, smaller)]
        for stage in base.stages()
    )
    assert mfcc[0] == mfcc[1]
    assert hidden[0] != hidden[1]


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "other"])
def test_damaged_clusters_are_made_anew(base, damage):
    clusters, path = cluster_only(base)
    contents = path.read_bytes()
    middle = len(contents) // 2
    damaged = {
        "cut": contents[:middle],
        "empty": b"",
        "changed": contents[:200] + bytes(byte ^ 255 for byte in contents[200:260]),
        "other": b"no archive",
    }
    path.write_bytes(damaged[damage])
    with pytest.warns(UserWarning, match=r"clusters\.npz are damaged .* made anew"):
        again, _ = cluster_only(base)
    for name, recordings in clusters.items():
        for one, other in zip(recordings, again[name], strict=True):
            np.testing.assert_array_equal(one, other)
    cluster_only(base)


def test_a_checkpoint_of_other_recordings_of_the_same_length_is_refused(base):
    base = dataclasses.replace(base, objective="wav2vec2", steps=(2, 2))
    run.pretrain(base)
    (path, *_) = sorted(base.audio[0].rglob("*.wav"))
    path.rename(path.with_name("another.wav"))
    with pytest.raises(ValueError, match="another configuration .recordings of audio: '"):
        run.pretrain(base)


def test_the_hash_of_recordings_is_of_names_and_lengths_and_not_of_places(tmp_path):
    write_tones(tmp_path / "a" / "deep", 2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    alone = tmp_path / "a" / "deep" / "tone-0.wav"

    def hashed(*roots):
        return recordings_hash(find_recordings(roots), roots)

    whole = hashed(tmp_path / "a")
    assert hashed(str(tmp_path / "b")) == whole
    assert hashed(alone) == hashed(tmp_path / "b" / "deep" / "tone-0.wav") != whole
    write_tones(tmp_path / "b" / "deep", 1, seconds=1.1)
    assert hashed(tmp_path / "b") != whole
    shutil.move(alone, alone.with_name("tone-9.wav"))
    assert hashed(tmp_path / "a") != whole


def test_roots_may_be_given_from_here(tmp_path, monkeypatch):
    write_tones(tmp_path / "a", 2)
    expected = recordings_hash(find_recordings([tmp_path / "a"]), [tmp_path / "a"])
    monkeypatch.chdir(tmp_path / "a")
    for root in (".", "../a"):
        assert recordings_hash(find_recordings([root]), [root]) == expected


def test_broken_audio_that_has_a_sound_header_is_named_when_it_is_read(tmp_path):
    speech = np.random.default_rng(0).normal(scale=0.1, size=16_000)
    cut, nan, long = (tmp_path / name for name in ("cut.wav", "nan.wav", "long.flac"))
    soundfile.write(cut, speech, 16_000)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    soundfile.write(nan, np.where(np.arange(16_000) == 99, np.nan, speech), 16_000, "FLOAT")
    soundfile.write(long, speech, 16_000)
    # FLAC's header ends its first 26 bytes with a number of frames of 36 bits.
    contents = long.read_bytes()
    (told,) = struct.unpack(">Q", contents[18:26])
    told = told >> 36 << 36 | 2**35
    long.write_bytes(contents[:18] + struct.pack(">Q", told) + contents[26:])
    for path, reason in ((cut, "shorter than"), (nan, "NaN"), (long, f"[0-9]+ of {2**35}|broken")):
        with pytest.raises(ValueError, match=reason) as caught:
            read_waveform(Recording(str(path), 16_000))
        assert str(path) in str(caught.value)


def test_a_rate_that_cannot_be_is_named_when_recordings_are_listed(tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 10)
    with pytest.raises(ValueError, match=r"slow\.wav: its sample rate cannot be \(10 Hz\)"):
        find_recordings([tmp_path])


@pytest.mark.parametrize("layer", [99, 3, -4])
def test_a_hidden_state_that_the_encoder_lacks_is_refused_before_the_first_stage(base, layer):
    with pytest.raises(ValueError, match=rf"`layers` must be of .* -3 to 2, got \({layer},\)"):
        run.pretrain(dataclasses.replace(base, layers=(layer,)))
    assert not (base.folder / "stage-0").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps_per_epoch", 0),
        ("mask_time_length", 0),
        ("clusters", (100, 2**15 + 1)),
        ("batch_seconds", 0.0),
        ("batch_seconds", math.inf),
        ("max_seconds", 0.0),
        ("max_seconds", 0.01),
        ("max_seconds", math.nan),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("clip_norm", 0.0),
        ("warmup_share", 1.5),
        ("weight_decay", -0.1),
        ("unmasked_weight", math.nan),
        ("diversity_weight", -1.0),
        ("dropout", 1.0),
        ("seed", -1),
    ],
)
def test_an_argument_that_cannot_be_is_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be "):
        Pretraining(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speeds", (0.0, 1.0)),
        ("speeds", (1.2, 0.9)),
        ("snr", (5.0, math.inf)),
        ("rt60", (0.0, 0.5)),
        ("noise", 1.5),
        ("reverberation", math.nan),
    ],
)
def test_a_distortion_that_cannot_be_is_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be "):
        Augmentation(**{name: value})
