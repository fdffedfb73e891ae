import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.losses import GlobalAlignment, SequenceAlignment, SpanAlignment, TokenAlignment
from pad_keras.models import AlignmentDistiller
from pad_keras.optimizers import MonitoredAdamW
from tests.backend import BACKEND, QUICK, numpy_of
from tests.models.test_text_teacher import batch_of
from tests.small import speech_student, text_teacher, texts

LOSSES = {
    "PAD-Glob": lambda: GlobalAlignment(),
    "PAD-TLocal": lambda: TokenAlignment(),
    "PAD-SLocal": lambda: SpanAlignment(),
    "SPLAT-Seq": lambda: SequenceAlignment(),
    "SPLAT-Tok": lambda: TokenAlignment(weighting="idf"),
    "joint": lambda: [GlobalAlignment(), SpanAlignment()],
}


def speech_batch(lengths, width=None, garbage=0.0):
    width = width or max(lengths)
    waveform = np.full((len(lengths), width), garbage, "float32")
    for seed, (row, length) in enumerate(zip(waveform, lengths, strict=True)):
        row[:length] = np.random.default_rng(seed).normal(scale=0.1, size=length)
    return {"waveform": waveform, "padding_mask": np.arange(width) < np.array(lengths)[:, None]}


def batch(teacher, count=4, **kwargs):
    lengths = [4000 + 700 * i for i in range(count)]
    return {
        "speech": speech_batch(lengths, **kwargs),
        "text": batch_of(teacher, texts(count), width=10),
    }


def cached(teacher, inputs):
    return {"speech": inputs["speech"], "text_units": numpy_of(teacher(inputs["text"]))}


def stream(inputs):
    while True:
        yield (inputs,)


def distiller_for(loss="PAD-SLocal", student_dim=16, compile_arguments=QUICK, **kwargs):
    teacher = text_teacher()
    teacher.adapt_idf(texts(6))
    distiller = AlignmentDistiller(teacher, speech_student(student_dim), LOSSES[loss](), **kwargs)
    distiller.compile(MonitoredAdamW(3e-3, global_clipnorm=1.0), **compile_arguments)
    return distiller


def loss_of(distiller, inputs):
    """The loss as it is, without a step."""
    return float(ops.convert_to_numpy(distiller.compute_loss(inputs, training=False)))


def weights_of(model):
    return [ops.convert_to_numpy(w).copy() for w in model.weights]


@pytest.mark.parametrize("loss", ["joint", "PAD-TLocal", "SPLAT-Seq"])
def test_losses_fall_by_fit_and_the_teacher_stays(loss):
    distiller = distiller_for(loss)
    inputs = batch(distiller.teacher)
    before, student = weights_of(distiller.teacher), weights_of(distiller.student)
    history = distiller.fit(
        stream(inputs), steps_per_epoch=8, epochs=2, verbose=0, shuffle=False
    ).history
    assert history["loss"][1] < history["loss"][0]
    for old, new in zip(before, weights_of(distiller.teacher), strict=True):
        np.testing.assert_array_equal(old, new)
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(student, weights_of(distiller.student), strict=True)
    ]
    assert np.mean(changed) > 0.8
    parts = {"global_alignment", "span_alignment"} if loss == "joint" else set()
    assert parts <= history.keys()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_trains_as_a_graph_and_compiled(jit_compile):
    if jit_compile and BACKEND == "torch":
        pytest.skip("torch's compiler needs a C++ compiler")
    distiller = distiller_for("joint", compile_arguments={"jit_compile": jit_compile})
    inputs = cached(distiller.teacher, batch(distiller.teacher))
    history = distiller.fit(
        stream(inputs), steps_per_epoch=4, epochs=2, verbose=0, shuffle=False
    ).history
    assert history["loss"][1] < history["loss"][0]


def test_cached_units_give_the_same_loss_as_text():
    distiller = distiller_for("joint")
    inputs = batch(distiller.teacher)
    units = cached(distiller.teacher, inputs)
    assert loss_of(distiller, units) == pytest.approx(loss_of(distiller, inputs), rel=1e-5)


def test_parts_are_logged_and_weighted():
    distiller = distiller_for("joint", distillation_loss_weights=[0.5, 2.0])
    logs = distiller.test_on_batch(batch(distiller.teacher), return_dict=True)
    total = 0.5 * float(logs["global_alignment"]) + 2.0 * float(logs["span_alignment"])
    assert float(logs["loss"]) == pytest.approx(total, rel=1e-5)
    assert set(logs) == {"loss", "global_alignment", "span_alignment"}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_a_batch_is_the_mean_of_its_utterances(loss):
    distiller = distiller_for(loss)
    inputs = batch(distiller.teacher, width=9000, garbage=3.0)
    together = loss_of(distiller, inputs)
    alone = []
    for row, length in enumerate(inputs["speech"]["padding_mask"].sum(1)):
        single = {
            "speech": {k: v[row : row + 1, :length] for k, v in inputs["speech"].items()},
            "text": {k: v[row : row + 1] for k, v in inputs["text"].items()},
        }
        alone.append(loss_of(distiller, single))
    assert together == pytest.approx(np.mean(alone), abs=1e-4)


def test_another_width_is_projected_and_the_student_stays_itself():
    distiller = distiller_for(student_dim=24)
    assert distiller.projection_dim == 16
    inputs = batch(distiller.teacher)
    distiller.fit(stream(inputs), steps_per_epoch=1, verbose=0, shuffle=False)
    assert distiller.predict_on_batch(inputs)["embeddings"].shape[-1] == 16
    assert distiller.student(inputs["speech"])["sequence_output"].shape[-1] == 24
    assert distiller.student.count_params() == speech_student(24).count_params()


def test_the_students_preset_holds_no_teacher(tmp_path):
    distiller = distiller_for()
    distiller.student.save_to_preset(str(tmp_path / "student"))
    restored = type(distiller.student).from_preset(str(tmp_path / "student"))
    speech = speech_batch([5000])
    np.testing.assert_allclose(
        ops.convert_to_numpy(restored(speech)["sequence_output"]),
        ops.convert_to_numpy(distiller.student(speech)["sequence_output"]),
        atol=1e-6,
    )
    assert restored.count_params() == distiller.student.count_params()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_without_nan(precision):
    teacher, student = text_teacher(), speech_student(dtype=precision)
    distiller = AlignmentDistiller(teacher, student, LOSSES["joint"]())
    optimizer = keras.optimizers.LossScaleOptimizer(MonitoredAdamW(1e-3), initial_scale=128.0)
    distiller.compile(optimizer, **QUICK)
    inputs = batch(teacher)
    history = distiller.fit(
        stream(inputs), steps_per_epoch=3, epochs=2, verbose=0, shuffle=False
    ).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_waveform_is_not_rounded_for_a_student_in_float32(precision):
    teacher, student = text_teacher(), speech_student(dtype="float32")
    keras.config.set_dtype_policy(precision)
    distiller = AlignmentDistiller(teacher, student, LOSSES["joint"]())
    speech = speech_batch([5000, 3000])
    # Half precision has few digits left for what lies about an offset.
    speech["waveform"] = speech["waveform"] * 0.01 + 1
    expected = numpy_of(student(speech)["sequence_output"])
    found = numpy_of(distiller({"speech": speech})["embeddings"])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_round_trip_through_its_configuration():
    distiller = distiller_for("joint", distillation_loss_weights=[0.5, 2.0])
    rebuilt = AlignmentDistiller.from_config(distiller.get_config())
    assert [loss.get_config() for loss in rebuilt.distillation_losses] == [
        loss.get_config() for loss in distiller.distillation_losses
    ]
    rebuilt.set_weights([ops.convert_to_numpy(w) for w in distiller.weights])
    inputs = batch(distiller.teacher)
    assert loss_of(rebuilt, inputs) == pytest.approx(loss_of(distiller, inputs), rel=1e-5)


def test_a_loaded_distiller_trains_on(tmp_path):
    distiller = distiller_for("joint")
    inputs = batch(distiller.teacher)
    distiller.compile(MonitoredAdamW(1e-2, global_clipnorm=1.0))
    distiller.train_on_batch(inputs)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.optimizer.global_clipnorm == 1.0
    variables = loaded.optimizer.variables, distiller.optimizer.variables
    for one, expected in zip(*variables, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (one, expected)))
    assert np.isfinite(loaded.train_on_batch(inputs)).all()
    assert int(loaded.optimizer.iterations) == 2


def test_a_teacher_stays_frozen_when_all_else_is_thawed():
    distiller = distiller_for()
    trained = len(distiller.trainable_variables)
    distiller.trainable = False
    assert not distiller.trainable_variables
    distiller.trainable = True
    assert len(distiller.trainable_variables) == trained
    assert not distiller.teacher.trainable_variables


def test_a_text_for_each_waveform_is_needed():
    distiller = distiller_for()
    inputs = batch(distiller.teacher, count=2)
    inputs["text"] = {name: value[:1] for name, value in inputs["text"].items()}
    with pytest.raises(ValueError, match="are of 1 utterances and the student's of 2"):
        distiller.compute_loss(inputs)


def test_wrong_use_is_explained():
    distiller = distiller_for()
    with pytest.raises(ValueError, match="distillation_losses"):
        distiller.compile(loss="mse")
    with pytest.raises(ValueError, match=r"Pass `text=`"):
        distiller.teacher_units({"speech": None})
    with pytest.raises(ValueError, match="must hold a loss"):
        AlignmentDistiller(distiller.teacher, distiller.student, [])
    with pytest.raises(ValueError, match="differ in name"):
        AlignmentDistiller(distiller.teacher, distiller.student, [SpanAlignment(), SpanAlignment()])
