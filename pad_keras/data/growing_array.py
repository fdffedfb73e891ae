"""An array on disk that is written piece by piece, in NumPy's file format."""

import pathlib
import shutil

import numpy as np


class GrowingArray:
    """Rows are appended to a file, so that no more than a piece of them is in memory.

    NumPy's format has the shape in front, which is known at the end alone: until then the rows lie
    in a file beside it.

    Args:
        path: path of the file, `*.npy`.

    Example:

    ```python
    with GrowingArray("units.npy") as array:
        for rows in pieces:  # [number, ...], alike but for the number
            array.append(rows)
    numpy.load("units.npy", mmap_mode="r")
    ```
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._rows_path = self.path.with_suffix(".rows")
        self._rows = 0
        self._like = None

    def __enter__(self):
        self._file = open(self._rows_path, "wb")
        return self

    def append(self, rows):
        """Append rows.

        Args:
            rows: `[number, ...]` array.

        Raises:
            ValueError: if they are of another shape or dtype than those before.
        """
        like = (rows.dtype, rows.shape[1:])
        if self._like not in (None, like):
            raise ValueError(
                f"{self.path} has rows of {self._like}, and these are {like}; convert them."
            )
        self._like = like
        self._rows += len(rows)
        self._file.write(np.ascontiguousarray(rows).tobytes())

    def __exit__(self, kind, value, traceback):
        self._file.close()
        if kind is None and self._like is not None:
            dtype, shape = self._like
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (self._rows, *shape),
            }
            with open(self._rows_path, "rb") as rows, open(self.path, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                shutil.copyfileobj(rows, file)
        self._rows_path.unlink()
