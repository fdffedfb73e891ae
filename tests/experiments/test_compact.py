import numpy as np
import pytest
from keras import ops

from experiments.pretraining.compact import compact, rounded
from experiments.students import DISTILLED, PRETRAINED
from pad_keras.models import Wav2Vec2Backbone
from tests.small import speech_student


def test_weights_keep_their_significant_bits():
    assert rounded([1.001, 3.14159, -0.3, 0.0], 8).tolist() == [1.0, 3.140625, -0.30078125, 0.0]
    values = np.random.default_rng(0).normal(size=1000)
    for bits in (8, 11):
        error = np.abs(rounded(values, bits).astype("float64") / values - 1)
        assert 2.0 ** -(bits + 2) < error.max() <= 2.0**-bits
    with pytest.raises(ValueError, match=r"in 1\.\.11, got 12"):
        rounded(values, 12)
    with pytest.raises(ValueError, match="exceeds 65504"):
        rounded([1e6], 8)


def test_a_small_preset_is_read_like_any_other(tmp_path):
    encoder = speech_student()
    folder = tmp_path / "preset"
    folder.mkdir()
    (folder / "README.md").write_text("the model card")
    compact(encoder, folder)
    assert (folder / "README.md").read_text() == "the model card"
    again = Wav2Vec2Backbone.from_preset(str(folder))
    for ours, theirs in zip(encoder.weights, again.weights, strict=True):
        if "seed" not in ours.path:
            wanted = rounded(ops.convert_to_numpy(ours.value), 8).astype("float32")
            np.testing.assert_array_equal(ops.convert_to_numpy(theirs.value), wanted)
            assert theirs.dtype == "float32"


@pytest.mark.parametrize("shipped", [PRETRAINED, DISTILLED])
def test_the_shipped_students_are_small_and_whole(shipped):
    encoder = Wav2Vec2Backbone.from_preset(shipped)
    assert encoder.count_params() == Wav2Vec2Backbone.from_preset("mini").count_params()
    assert all(np.isfinite(weight).all() for weight in encoder.get_weights())
