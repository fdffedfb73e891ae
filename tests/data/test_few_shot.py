import collections

import pytest

from pad_keras.data import Utterance, few_shot

LABELS = [("on", "light"), ("off", "light"), ("on", "heat")]


def utterances(each=5):
    return [
        Utterance(f"{action}-{thing}-{n}", "", "s", 1.0, labels={"action": action, "object": thing})
        for n in range(each)
        for action, thing in LABELS
    ]


@pytest.mark.parametrize("shots", [1, 3, 5])
def test_as_many_of_each_class_in_the_order_given(shots):
    everything = utterances()
    found = few_shot(everything, shots, seed=1)
    counts = collections.Counter(tuple(utterance.labels.values()) for utterance in found)
    assert counts == dict.fromkeys(LABELS, shots)
    assert found == [utterance for utterance in everything if utterance in found]


def test_a_class_may_be_one_group_alone():
    found = few_shot(utterances(), 2, groups=("action",))
    assert collections.Counter(u.labels["action"] for u in found) == {"on": 2, "off": 2}


def test_the_seed_decides_and_fewer_shots_lie_within_more():
    draws = [[u.id for u in few_shot(utterances(), 2, seed=seed)] for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1
    assert set(draws[0]) <= {u.id for u in few_shot(utterances(), 3, seed=0)}


def test_none_keeps_all_and_too_many_are_told():
    assert few_shot(utterances(), None) == utterances()
    with pytest.warns(UserWarning, match=r"6 shots were asked for; fewer .*'on', 'light'\): 5"):
        assert few_shot(utterances(), 6) == utterances()
    with pytest.raises(ValueError, match="`shots` must be at least 1"):
        few_shot(utterances(), 0)
