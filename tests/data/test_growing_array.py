import numpy as np
import pytest

from pad_keras.data.growing_array import GrowingArray


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_it_holds_what_was_appended(tmp_path, shape, dtype):
    pieces = [np.arange(n * np.prod(shape, dtype=int)).reshape(n, *shape) for n in (2, 0, 3)]
    with GrowingArray(tmp_path / "a.npy") as array:
        for piece in pieces:
            array.append(piece.astype(dtype))
    found = np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
    np.testing.assert_array_equal(found, np.concatenate(pieces))
    assert found.dtype == dtype
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_rows_that_differ_are_refused(tmp_path):
    odd = pytest.raises(ValueError, match=r"a\.npy has rows of .*float32.* these are .*float16")
    with odd, GrowingArray(tmp_path / "a.npy") as array:
        array.append(np.zeros((2, 3), "float32"))
        array.append(np.zeros((2, 3), "float16"))
    assert not list(tmp_path.iterdir())
