import keras
import numpy as np
import pytest

from pad_keras.metrics import ExactMatch
from tests.backend import numpy_of


@pytest.fixture
def groups():
    generator = np.random.default_rng(0)
    scores = {name: generator.normal(size=(50, 3)) for name in ("action", "object", "location")}
    ids = {name: generator.integers(0, 3, size=50) for name in scores}
    return ids, scores


def by_loops(ids, scores, weights=None):
    weights = np.ones(50) if weights is None else weights
    right = [all(scores[n][row].argmax() == ids[n][row] for n in ids) for row in range(50)]
    return np.sum(weights * right) / np.sum(weights)


def scored(*arguments, **kwargs):
    metric = ExactMatch()
    metric.update_state(*arguments, **kwargs)
    return float(numpy_of(metric.result()))


def test_every_group_must_be_right(groups):
    ids, scores = groups
    expected = by_loops(ids, scores)
    assert 0 < expected < 0.2
    assert scored(ids, scores) == pytest.approx(expected)
    assert scored(list(ids.values()), list(scores.values())) == pytest.approx(expected)
    columns = {name: of_group[:, None] for name, of_group in ids.items()}
    assert scored(columns, scores) == pytest.approx(expected)
    assert scored(list(columns.values()), list(scores.values())) == pytest.approx(expected)
    together = np.stack(list(ids.values()), axis=1)
    assert scored(together, list(scores.values())) == pytest.approx(expected)


def test_one_group_is_accuracy(groups):
    ids, scores = groups[0]["action"], groups[1]["action"]
    assert scored(ids, scores) == pytest.approx(np.mean(scores.argmax(1) == ids))
    assert scored(ids[:, None], scores) == pytest.approx(np.mean(scores.argmax(1) == ids))


def test_weights_and_batches(groups):
    ids, scores = groups
    weights = np.random.default_rng(1).uniform(size=50)
    metric = ExactMatch()
    for part in (slice(0, 20), slice(20, 50)):
        metric.update_state(
            {name: value[part] for name, value in ids.items()},
            {name: value[part] for name, value in scores.items()},
            sample_weight=weights[part],
        )
    expected = by_loops(ids, scores, weights)
    assert float(numpy_of(metric.result())) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(numpy_of(metric.result())) == 0


def test_groups_must_agree(groups):
    ids, scores = groups
    with pytest.raises(ValueError, match=r"y_true \['action', 'object'\]"):
        ExactMatch().update_state({k: ids[k] for k in ("action", "object")}, scores)
    with pytest.raises(ValueError, match="y_pred has 3 groups and y_true 1"):
        ExactMatch().update_state([ids["action"]], list(scores.values()))


def test_it_serialises():
    restored = keras.metrics.deserialize(keras.metrics.serialize(ExactMatch(name="intent")))
    assert isinstance(restored, ExactMatch)
    assert restored.name == "intent"


def test_scores_that_are_no_numbers_are_wrong():
    scores = np.array([[np.nan, np.nan], [0.9, 0.1], [0.9, np.nan]], "float32")
    assert scored([0, 0, 0], scores) == pytest.approx(1 / 3)


def test_ids_of_another_batch_are_refused():
    with pytest.raises(ValueError, match="y_true has 1 ids and y_pred scores of 3 utterances"):
        scored([1], np.zeros((3, 2)))
