import keras
import numpy as np
import pytest
from keras import ops

from pad_keras.models import SlotFiller, UtteranceClassifier, superb_optimizer
from tests.backend import BACKEND, QUICK, numpy_of
from tests.models.test_alignment_distiller import speech_batch
from tests.small import speech_student

LABELS = {"action": ("on", "off"), "object": ("light", "heat", "music"), "location": ("none",)}
LENGTHS = [9000, 6000, 7500, 4000]


def classifier(**kwargs):
    student = speech_student(hidden_dropout=0.1)
    return UtteranceClassifier(student, LABELS, projection_dim=8, **kwargs)


def filler(**kwargs):
    student = speech_student(hidden_dropout=0.1)
    return SlotFiller(student, ["a", "b"], projection_dim=8, lstm_dim=6, **kwargs)


def with_targets(kind, garbage=0.0):
    speech = speech_batch(LENGTHS, width=9000, garbage=garbage)
    if kind is classifier:
        targets = {"action": [0, 1, 1, 0], "object": [2, 0, 1, 1], "location": [0, 0, 0, 0]}
        return speech, {name: np.array(ids, "int32") for name, ids in targets.items()}
    ids = np.array([[31, 5, 32, 1], [6, 6, 1, 0], [4, 1, 0, 0], [33, 8, 34, 1]], "int32")
    return speech, {"ids": ids, "length": np.array([4, 3, 2, 4], "int32")}


def cached(model, speech):
    outputs = numpy_of(model.backbone(speech))
    return {"hidden_states": outputs["hidden_states"], "mask": outputs["mask"]}


def weights_of(model):
    return [ops.convert_to_numpy(weight).copy() for weight in model.weights]


def changed(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_the_classifier_is_what_superb_describes():
    model = classifier()
    model.weighted_sum.layer_logits.assign(np.array([0.3, -0.2, 0.5]))
    speech, _ = with_targets(classifier)
    found = numpy_of(model(speech))
    states = cached(model, speech)
    logits = np.array([0.3, -0.2, 0.5])
    share = np.exp(logits) / np.exp(logits).sum()
    kernel, bias = (ops.convert_to_numpy(w) for w in model.projection.weights)
    out, offset = (ops.convert_to_numpy(w) for w in model.classifier.weights)
    for row in range(4):
        frames = []
        for frame in np.flatnonzero(states["mask"][row]):
            feature = sum(
                w * states["hidden_states"][row, layer, frame] for layer, w in enumerate(share)
            )
            frames.append(feature @ kernel + bias)
        expected = np.mean(frames, axis=0) @ out + offset
        row_found = np.concatenate([found[group][row] for group in LABELS])
        np.testing.assert_allclose(row_found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", [classifier, filler])
@pytest.mark.parametrize(("layers", "kept"), [((-1,), [2]), ((2, 0), [0, 2])])
def test_only_the_named_layers_are_weighed(kind, layers, kept):
    model = kind(layers=layers)
    speech, _ = with_targets(kind)
    logits = np.array([0.3, -0.2])[: len(kept)]
    model.weighted_sum.layer_logits.assign(logits)
    share = np.exp(logits) / np.exp(logits).sum()
    states = cached(model, speech)
    features, mask = model.features(states)
    features, mask = numpy_of(features), numpy_of(mask)
    for row, frame in np.argwhere(mask):
        expected = sum(
            w * states["hidden_states"][row, layer, frame]
            for w, layer in zip(share, kept, strict=True)
        )
        np.testing.assert_allclose(features[row, frame], expected, atol=1e-5)
    again = type(model).from_config(model.get_config())
    assert again.layers_weighed == kept
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("layers", [(), (3,), (-4, 0), (2, -1)])
def test_layers_that_are_not_there_are_refused(layers):
    with pytest.raises(ValueError, match="different ones of the encoder's 3 hidden states"):
        classifier(layers=layers)


@pytest.mark.parametrize("kind", [classifier, filler])
def test_padding_changes_nothing(kind):
    model = kind()
    speech, _ = with_targets(kind, garbage=5.0)
    together = numpy_of(model(speech))
    for row, length in enumerate(LENGTHS):
        alone = {name: values[row : row + 1, :length] for name, values in speech.items()}
        assert alone["padding_mask"].all()
        expected = numpy_of(model(alone))
        found = {name: values[row] for name, values in together.items()}
        if kind is filler:
            assert expected["mask"].all()
            found = {name: values[found["mask"]] for name, values in found.items()}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values[0], atol=1e-4)


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_frozen_encoder_stays_and_cached_states_train_the_same(kind):
    speech, targets = with_targets(kind)
    losses = []
    for use_cache in (False, True):
        keras.utils.set_random_seed(3)
        model = kind() if kind is classifier else filler(dropout=0.0, spec_augment=False)
        model.compile(keras.optimizers.Adam(3e-2), **QUICK)
        before = weights_of(model.backbone)
        inputs = cached(model, speech) if use_cache else speech
        history = [
            float(model.train_on_batch(inputs, targets, return_dict=True)["loss"]) for _ in range(4)
        ]
        assert history[-1] < history[0]
        assert not any(changed(before, weights_of(model.backbone)))
        losses.append(history)
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_a_slot_filler_learns_from_augmented_features():
    speech, targets = with_targets(filler)
    # Masks of up to 49 channels would leave nothing of 16.
    student = speech_student(dim=128)
    model = SlotFiller(student, ["a", "b"], projection_dim=8, lstm_dim=6, dropout=0.0)
    inputs = cached(model, speech)
    model.compile(keras.optimizers.Adam(3e-2), jit_compile=BACKEND != "torch")
    history = [
        float(model.train_on_batch(inputs, targets, return_dict=True)["loss"]) for _ in range(12)
    ]
    assert np.isfinite(history).all()
    assert np.mean(history[-3:]) < np.mean(history[:3])


def test_features_are_augmented_in_training_only():
    plain, augmented = filler(dropout=0.0, spec_augment=False), filler(dropout=0.0)
    augmented.set_weights(plain.get_weights())
    speech, _ = with_targets(filler)
    inputs = cached(plain, speech)
    expected = numpy_of(plain(inputs, training=False))["logits"]
    found = numpy_of(augmented(inputs, training=False))["logits"]
    np.testing.assert_array_equal(found, expected)
    in_training = numpy_of(augmented(inputs, training=True))["logits"]
    assert np.abs(in_training - expected).max() > 1e-2
    unaugmented = numpy_of(plain(inputs, training=True))["logits"]
    np.testing.assert_allclose(unaugmented, expected, atol=1e-6)


def test_fine_tuning_trains_the_encoder_too():
    model = classifier(fine_tune=True)
    model.compile(keras.optimizers.Adam(1e-2), **QUICK)
    before = weights_of(model.backbone)
    model.train_on_batch(*with_targets(classifier))
    assert np.mean(changed(before, weights_of(model.backbone))) > 0.8


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_front_end_that_is_frozen_stays_so(kind):
    student = speech_student(freeze_feature_encoder=True)
    rest = len(student.trainable_weights)
    assert rest < len(speech_student().trainable_weights)
    for fine_tune in (True, False, True):
        if kind is classifier:
            model = UtteranceClassifier(student, LABELS, fine_tune=fine_tune)
        else:
            model = SlotFiller(student, ["a"], lstm_dim=6, fine_tune=fine_tune)
        assert not student.feature_encoder.trainable
        assert len(student.trainable_weights) == (rest if fine_tune else 0)
    again = type(model).from_config(model.get_config())
    assert not again.backbone.feature_encoder.trainable
    assert len(again.backbone.trainable_weights) == rest


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_dtype_policy_is_that_of_all_parts_and_comes_back(kind):
    model = kind(dtype="mixed_bfloat16")
    for head in (model, type(model).from_config(model.get_config())):
        parts = [head.projection, head.classifier, head.weighted_sum]
        if kind is filler:
            parts += [*head.recurrent, *head.dropouts, head.augmentation]
        assert {part.dtype_policy.name for part in parts} == {"mixed_bfloat16"}
        assert head.backbone.dtype_policy.name == "float32"
    # Configurations without it, of files from before, are read too.
    older = {name: value for name, value in model.get_config().items() if name != "dtype"}
    assert type(model).from_config(older).projection.dtype_policy.name == "float32"


def test_a_waveform_is_not_rounded_for_an_encoder_in_float32():
    model = classifier(dtype="mixed_bfloat16")
    speech, _ = with_targets(classifier)
    speech["waveform"] = speech["waveform"] * 0.01 + 1
    found = numpy_of(model(speech))
    for name, expected in numpy_of(model(cached(model, speech))).items():
        np.testing.assert_array_equal(found[name], expected)


def test_the_classifier_learns_and_measures():
    model = classifier()
    speech, targets = with_targets(classifier)
    model.compile(keras.optimizers.Adam(3e-2), **QUICK)
    inputs = cached(model, speech)
    for _ in range(60):
        logs = model.train_on_batch(inputs, targets, return_dict=True)
    assert set(logs) == {"loss", "exact_match"}
    assert float(model.test_on_batch(inputs, targets, return_dict=True)["exact_match"]) == 1.0


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_utterances_are_weighed(shape, dtype):
    model = classifier()
    speech, targets = with_targets(classifier)
    inputs = cached(model, speech)
    model.compile(**QUICK)
    logits, weights = numpy_of(model(inputs)), np.array([1, 0, 0, 3])
    log_probabilities = {
        name: x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for name, x in logits.items()
    }
    expected = -sum(
        np.mean(weights * log_probabilities[name][np.arange(4), ids])
        for name, ids in targets.items()
    )
    right = np.all([logits[name].argmax(-1) == ids for name, ids in targets.items()], axis=0)
    given = weights.astype(dtype).reshape(shape)
    found = model.evaluate(inputs, targets, sample_weight=given, return_dict=True, verbose=0)
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    assert found["exact_match"] == pytest.approx((right * weights).sum() / 4)
    model.fit(inputs, targets, sample_weight=given, verbose=0)


def test_texts_are_the_best_tokens_of_real_frames():
    model = filler()
    tokens = np.array([[31, 31, 4, 0, 4, 32, 1, 5], [6, 6, 0, 0, 7, 8, 9, 9]])
    mask = np.arange(8) < np.array([7, 5])[:, None]
    logits = np.eye(len(model.vocabulary))[tokens]
    for dtype in ("bool", "int32"):
        texts = model.texts({"logits": logits, "mask": mask.astype(dtype)})
        assert texts == ["B-a AA E-a", "CD"]


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_round_trip_through_a_file(kind, tmp_path):
    model = kind()
    speech, _ = with_targets(kind)
    expected = numpy_of(model(speech))
    model.save(str(tmp_path / "model.keras"))
    restored = keras.models.load_model(str(tmp_path / "model.keras"))
    for name, values in numpy_of(restored(speech)).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_loaded_head_trains_on(kind, tmp_path):
    model = kind()
    speech, targets = with_targets(kind)
    model.compile(superb_optimizer(1e-2), **QUICK)
    inputs = cached(model, speech)
    model.train_on_batch(inputs, targets)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, expected in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (one, expected)))
    assert np.isfinite(loaded.train_on_batch(inputs, targets)).all()
    assert int(loaded.optimizer.iterations) == 2


def test_a_slot_filler_keeps_its_augmentation_in_its_config():
    for spec_augment in (False, True):
        config = filler(spec_augment=spec_augment).get_config()
        assert SlotFiller.from_config(config).spec_augment is spec_augment


@pytest.mark.parametrize("kind", [classifier, filler])
def test_a_frozen_encoder_stays_frozen_when_all_else_is_thawed(kind):
    model = kind()
    trained = len(model.trainable_variables)
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_variables) == trained


def test_an_id_that_is_no_label_does_not_go_unnoticed():
    model = classifier()
    speech, targets = with_targets(classifier)
    targets["object"] = np.array([0, 1, 2, 3], "int32")
    logits = model(speech)
    if BACKEND == "jax":
        assert np.isnan(numpy_of(model.compute_loss(y=targets, y_pred=logits)))
        return
    with pytest.raises(Exception, match="out of bounds|outside the valid range"):
        model.compute_loss(y=targets, y_pred=logits)


def test_wrong_labels_are_explained():
    with pytest.raises(ValueError, match="'action' must be different names"):
        UtteranceClassifier(speech_student(), {"action": ("on", "on")})
    with pytest.raises(ValueError, match="no group"):
        UtteranceClassifier(speech_student(), {})
