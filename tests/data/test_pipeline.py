import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from pad_keras.data import (
    BatchPlan,
    batch_order,
    batches_per_epoch,
    librispeech,
    padding_share,
    pipeline,
)
from tests.data.corpus import tone, write_corpus


@pytest.fixture
def utterances(tmp_path):
    return librispeech(write_corpus(tmp_path / "corpus", speakers=4, per_speaker=5), hours=None)


def seconds_of(batches):
    """Durations of the waveforms of each batch, which tell the utterances of the corpus apart."""
    return [
        np.round(np.sum(batch["speech"]["padding_mask"], axis=1) / 16_000, 3).tolist()
        for batch in batches.as_numpy_iterator()
    ]


def test_batches_hold_each_utterance_once_with_its_padding_marked(utterances):
    batches = list(pipeline(utterances, 3).as_numpy_iterator())
    assert [len(b["speech"]["waveform"]) for b in batches] == [3] * 6 + [2]
    for batch in batches:
        waveform, mask = batch["speech"]["waveform"], batch["speech"]["padding_mask"]
        assert waveform.dtype == np.float32
        assert mask.dtype == bool
        assert np.all(waveform[~mask] == 0)
        lengths = mask.sum(1)
        for row, length in zip(waveform, lengths, strict=True):
            assert np.abs(row[length - 100 : length]).max() > 0.1
    found = [s for batch in seconds_of(pipeline(utterances, 3)) for s in batch]
    assert found == [round(u.seconds, 3) for u in batch_order(utterances, 3)]


def test_waveforms_are_those_of_the_files(utterances):
    batch = next(pipeline(utterances[:1], 1).as_numpy_iterator())["speech"]
    waveform = batch["waveform"][batch["padding_mask"]]
    np.testing.assert_allclose(waveform, tone(0.3, frequency=200), atol=1e-4)


def test_shuffled_epochs_differ_and_leave_out_the_remainder(utterances):
    steps = batches_per_epoch(utterances, 3)
    assert steps == 6
    stream = seconds_of(pipeline(utterances, 3, shuffle=True, repeat=True).take(3 * steps))
    epochs = [stream[i * steps : (i + 1) * steps] for i in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    for epoch in epochs:
        flat = [s for batch in epoch for s in batch]
        assert len(set(flat)) == len(flat) == 18
    again = seconds_of(pipeline(utterances, 3, shuffle=True, repeat=True).take(3 * steps))
    assert stream == again
    other = seconds_of(pipeline(utterances, 3, shuffle=True, repeat=True, seed=1).take(3 * steps))
    assert stream != other


@pytest.mark.parametrize("start", [0, 1, 5, 6, 7, 13])
def test_a_stream_started_later_goes_on_as_it_would_have(utterances, start):
    options = {"shuffle": True, "repeat": True, "seed": 4}
    whole = seconds_of(pipeline(utterances, 3, **options).take(20))
    assert (
        seconds_of(pipeline(utterances, 3, start_batch=start, **options).take(20 - start))
        == (whole[start:])
    )


@pytest.mark.parametrize("start", [0, 2, 7])
def test_an_unshuffled_stream_started_later_goes_on_too(utterances, start):
    whole = seconds_of(pipeline(utterances, 6, repeat=True).take(10))
    later = pipeline(utterances, 6, repeat=True, start_batch=start).take(10 - start)
    assert seconds_of(later) == whole[start:]


def test_an_epoch_started_later_ends_where_it_would_have(utterances):
    whole = seconds_of(pipeline(utterances, 3))
    rest = pipeline(utterances, 3, start_batch=5)
    assert seconds_of(rest) == whole[5:]
    assert int(rest.cardinality()) == 2


def break_file(utterance):
    with open(utterance.audio, "wb") as file:
        file.write(b"no audio")


@pytest.mark.parametrize("rank", [0, 7, 19])
def test_a_broken_file_is_named_wherever_it_comes(utterances, rank):
    broken = batch_order(utterances, 4)[rank]
    break_file(broken)
    with pytest.raises(tf.errors.OpError, match=broken.id):
        list(pipeline(utterances, 4))


def test_a_file_that_vanished_is_named(utterances):
    gone = utterances[3]
    pathlib.Path(gone.audio).unlink()
    with pytest.raises(tf.errors.OpError, match=gone.id):
        list(pipeline(utterances, 4))


def test_broken_files_are_skipped_counted_and_listed(utterances):
    order = batch_order(utterances, 4)
    for rank in (0, 7, 8, 19):
        break_file(order[rank])
    with pytest.warns(UserWarning, match="skipped 4 items") as caught:
        found = [s for b in seconds_of(pipeline(utterances, 4, on_error="skip")) for s in b]
    text = str(caught[0].message)
    assert all(order[rank].audio in text for rank in (0, 7, 8, 19))
    kept = [u for rank, u in enumerate(order) if rank not in (0, 7, 8, 19)]
    assert found == [round(u.seconds, 3) for u in kept]


def test_augmentation_changes_waveforms(utterances):
    batch = next(pipeline(utterances, 2, augment=lambda w: w * 0.5).as_numpy_iterator())
    assert np.abs(batch["speech"]["waveform"]).max() == pytest.approx(0.15, abs=0.01)


def test_few_lengths_reach_the_compiler(utterances):
    widths = {b["speech"]["waveform"].shape[1] for b in pipeline(utterances, 1, buckets=3)}
    assert len(widths) <= 3


def test_arguments_are_checked(utterances):
    with pytest.raises(ValueError, match="within max_seconds=0.01"):
        pipeline(utterances, 2, max_seconds=0.01)
    with pytest.raises(ValueError, match="make no batch of 50"):
        pipeline(utterances, 50, shuffle=True)
    with pytest.raises(ValueError, match="ignore"):
        pipeline(utterances, 2, on_error="ignore")
    for name, value in (("start_batch", -1), ("seed", -1), ("buckets", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must be at least {value + 1}, got {value}"):
            pipeline(utterances, 2, **{name: value})


def test_a_stream_that_would_never_come_to_a_batch_is_refused(utterances):
    for utterance in utterances:
        break_file(utterance)
    with pytest.raises(ValueError, match=r"None of 20 utterances can be read; .*: .*not FLAC"):
        pipeline(utterances, 2, repeat=True, on_error="skip")


def test_the_padding_share_is_that_of_the_batches(utterances):
    share = padding_share(utterances, 3, shuffle=False, buckets=4)
    real = padded = 0
    for batch in pipeline(utterances, 3, buckets=4).as_numpy_iterator():
        real += batch["speech"]["padding_mask"].sum()
        padded += batch["speech"]["padding_mask"].size
    assert share == pytest.approx(1 - real / padded, abs=2e-3)


def test_sorting_by_length_saves_padding():
    seconds = np.random.default_rng(0).uniform(1, 15, 800)
    sorted_share = BatchPlan(seconds, 8, shuffle=True).padding_share()
    order = np.random.default_rng(1).permutation(seconds).reshape(-1, 8)
    random_share = 1 - seconds.sum() / (order.max(1).sum() * 8)
    assert sorted_share < random_share / 3


def test_fit_takes_the_batches_on_every_backend(utterances):
    class Loudness(keras.Model):
        def __init__(self):
            super().__init__()
            self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

        def call(self, inputs):
            waveform = keras.ops.convert_to_tensor(inputs["speech"]["waveform"])
            return keras.ops.mean(waveform * self.gain, axis=1)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.square(y_pred - 1.0))

    model = Loudness()
    model.compile("sgd", jit_compile=False)
    data = pipeline(utterances, 4, shuffle=True, repeat=True)
    history = model.fit(data, steps_per_epoch=5, epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
