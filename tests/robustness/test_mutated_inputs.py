"""Damaged files never end the process, hang, or pass in silence as something else.

PAD_KERAS_MUTATIONS=1000 python -m pytest tests/robustness     # 1,000 cases a kind of file
"""

import faulthandler
import io
import json
import warnings

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import HealthCheck, given, settings, strategies
from keras import ops
from safetensors.numpy import load_file, save_file

from pad_keras.callbacks import TrainingState
from pad_keras.data import (
    HiddenStateCache,
    TeacherCache,
    audio_snips,
    decode_audio,
    fluent_speech_commands,
    iemocap,
    librispeech,
)
from pad_keras.export.wav import decode_wav
from pad_keras.models import UtteranceClassifier, Wav2Vec2Backbone
from tests.backend import BACKEND
from tests.data.corpus import tone, write_corpus
from tests.data.test_slu_corpora import write_audio, write_fsc
from tests.robustness.mutations import CASES, damage, damaged
from tests.small import speech_student, text_teacher, utterances

_HANG_SECONDS = 120

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="files are read once")

drawn = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 25,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _a_hang_ends_the_run():
    """A kernel that never returns cannot be interrupted; the process ends with a traceback."""
    faulthandler.dump_traceback_later(_HANG_SECONDS * max(1, CASES // 25), exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def encoded(suffix):
    """An audio file of 0.3 s, as bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(0.3), 16_000, format=suffix)
    return buffer.getvalue()


class Files:
    """Files, one of which is damaged at a time, and what reads them.

    Args:
        root: path.
        paths: list of path, those to damage.
        read: function without arguments.
        check: function of what `read` returned, which fails where that makes no sense.
    """

    def __init__(self, root, paths, read, check):
        self.root, self.paths, self.read, self.check = root, paths, read, check
        self.whole = {path: path.read_bytes() for path in paths}
        check(read())

    def survives(self, which, changes):
        """Damage a file and read it: what comes is right, or an error that names a file."""
        path = self.paths[which % len(self.paths)]
        path.write_bytes(damaged(self.whole[path], changes))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.read()
        except (ValueError, OSError) as error:
            if str(self.root) not in str(error):
                pytest.fail(f"no file is named: {error!r}")
        else:
            self.check(found)
        finally:
            path.write_bytes(self.whole[path])


def sound_utterances(found):
    """Utterances that training could use."""
    for utterance in found:
        assert utterance.id
        assert np.isfinite(utterance.seconds)
        assert utterance.seconds > 0
        assert utterance.text is None or utterance.text.strip()
        for word in utterance.words:
            assert 0 <= word.start <= word.end < np.inf


def librispeech_corpus(root):
    write_corpus(root, speakers=1, per_speaker=2)
    words = root / "words.tsv"
    said = ("THE CAT NUMBER ONE OF 0", "THE CAT NUMBER ONE ONE OF 0")
    times = (" ".join(f"{word}:0.1:0.2" for word in text.split()) for text in said)
    words.write_text("".join(f"100-7-000{n}\t{line}\n" for n, line in enumerate(times)))
    files = [words, *root.rglob("*.trans.txt"), *sorted(root.rglob("*.flac"))]
    return files, lambda: librispeech(root, None)


def commands_corpus(root):
    rows = [("s1", "Heat, up", "increase", "heat", "none"), ("s2", "Off", "off", "x", "none")]
    write_fsc(root, "train", rows)
    return [root / "data" / "train_data.csv"], lambda: fluent_speech_commands(root, "train")


def slots_corpus(root):
    (root / "slots.txt").write_text("O\nartist\ncity\n")
    lines = []
    for index, (words, slots) in enumerate([("play abba", "O artist"), ("in rome", "O city")]):
        uid = f"Ivy-snips-train-{index}"
        write_audio(root / "train" / f"{uid}.wav")
        lines.append(f"{uid} BOS {words} EOS\tO {slots} Intent")
    (root / "all.iob.snips.txt").write_text("\n".join(lines) + "\n")
    return [root / "all.iob.snips.txt", root / "slots.txt"], lambda: audio_snips(root, "train")


def emotions_corpus(root):
    folder, dialog = root / "Session1", "Ses01F_impro01"
    for kind in ("EmoEvaluation", "transcriptions"):
        (folder / "dialog" / kind).mkdir(parents=True)
    labels, words = [], []
    for turn, emotion in (("F000", "neu"), ("M000", "exc")):
        uid = f"{dialog}_{turn}"
        write_audio(folder / "sentences" / "wav" / dialog / f"{uid}.wav")
        labels.append(f"[6.29 - 8.23]\t{uid}\t{emotion}\t[2.5, 2.5, 2.5]")
        words.append(f"{uid} [006.29-008.23]: Excuse me.")
    evaluation = folder / "dialog" / "EmoEvaluation" / f"{dialog}.txt"
    evaluation.write_text("\n".join(labels))
    spoken = folder / "dialog" / "transcriptions" / f"{dialog}.txt"
    spoken.write_text("\n".join(words))
    return [evaluation, spoken], lambda: iemocap(root, sessions=(1,))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@drawn
@given(damage)
def test_damaged_audio_is_decoded_or_refused(suffix, changes):
    contents = damaged(encoded(suffix), changes)
    try:
        waveform = decode_audio(contents).numpy()
    except tf.errors.InvalidArgumentError:
        return
    assert waveform.ndim == 1
    assert len(waveform)
    assert np.isfinite(waveform).all()


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@drawn
@given(damage)
def test_damaged_wav_is_served_or_refused(subtype, changes):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(0.1), 16_000, format="wav", subtype=subtype)
    try:
        waveform, lengths = decode_wav(tf.constant([damaged(buffer.getvalue(), changes)]))
    except tf.errors.InvalidArgumentError:
        return
    assert 0 < int(lengths[0]) == waveform.shape[1]
    # What is no number is refused by the signature, behind the decoder.
    assert subtype == "FLOAT" or np.isfinite(waveform.numpy()).all()


def sound_encoder(backbone):
    """An encoder that hears."""
    inputs = {"waveform": np.ones((1, 800), "float32"), "padding_mask": np.ones((1, 800), "bool")}
    states = ops.convert_to_numpy(backbone(inputs)["sequence_output"])
    assert states.shape[-1] == backbone.hidden_dim


def transformers_folder(root):
    speech_student().to_transformers(root)
    return sorted(root.iterdir()), lambda: Wav2Vec2Backbone.from_preset(str(root))


def shards_folder(root):
    """The weights in two shards and their index."""
    speech_student().to_transformers(root)
    whole = root / "model.safetensors"
    arrays = load_file(whole)
    whole.unlink()
    names = sorted(arrays)
    index = {}
    for shard, part in (("model-1.safetensors", names[::2]), ("model-2.safetensors", names[1::2])):
        save_file({name: arrays[name] for name in part}, root / shard)
        index |= dict.fromkeys(part, shard)
    path = root / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return [path], lambda: Wav2Vec2Backbone.from_preset(str(root))


def keras_folder(root):
    speech_student().save_to_preset(str(root))
    return sorted(root.iterdir()), lambda: Wav2Vec2Backbone.from_preset(str(root))


def teacher_cache(root):
    corpus = utterances(3)
    folder = root / "cache"
    TeacherCache.build(text_teacher(), corpus, folder)

    def read():
        cache = TeacherCache(folder)
        cache.check(corpus)
        return cache.units([utterance.id for utterance in corpus])

    return sorted(folder.iterdir()), read


def hidden_states(root):
    student = speech_student()
    corpus = librispeech(write_corpus(root / "corpus", speakers=1, per_speaker=2), None)
    folder = root / "states"
    built = HiddenStateCache.build(student, corpus, folder)

    def read():
        cache = HiddenStateCache(folder)
        cache.check(corpus)
        return {u.id: cache.read(str(cache.path(u))).numpy() for u in corpus}

    return [folder / "meta.json", *(built.path(u) for u in corpus)], read


def arrays_of_their_shapes(found):
    """Arrays that have as many rows as they had."""
    assert all(array.ndim >= 2 for array in found.values())


def checkpoint(root):
    model = UtteranceClassifier(speech_student(), {"intent": ("a", "b")})
    model.compile()
    model.optimizer.build(model.trainable_variables)
    TrainingState(root).save(model, epoch=3)
    return [root / "state.npz"], lambda: TrainingState(root).restore(model)


def its_epoch(found):
    """The epoch that was saved."""
    assert found == 3


# What reads files, and what to make of the result.
READERS = {
    "librispeech": (librispeech_corpus, sound_utterances),
    "commands": (commands_corpus, sound_utterances),
    "slots": (slots_corpus, sound_utterances),
    "emotions": (emotions_corpus, sound_utterances),
    "encoder, transformers": (transformers_folder, sound_encoder),
    "encoder, shards": (shards_folder, sound_encoder),
    "encoder, keras": (keras_folder, sound_encoder),
    "teacher's units": (teacher_cache, arrays_of_their_shapes),
    "hidden states": (hidden_states, arrays_of_their_shapes),
    "checkpoint": (checkpoint, its_epoch),
}


@pytest.fixture(params=READERS)
def files(request, tmp_path):
    build, check = READERS[request.param]
    paths, read = build(tmp_path)
    return Files(tmp_path, paths, read, check)


@drawn
@given(strategies.integers(0, 7), damage)
def test_damaged_files_are_read_or_refused_by_name(files, which, changes):
    files.survives(which, changes)
