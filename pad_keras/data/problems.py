"""What is wrong with input files: raised at once, or collected and reported at the end."""

import contextlib
import re
import warnings

ON_ERROR = ("raise", "skip")


class BadInputError(ValueError):
    """A file or record cannot be used; the message names it and says why."""


@contextlib.contextmanager
def bad_input_explained():
    """Turn TensorFlow's account of a `BadInputError` inside a pipeline back into that error.

    Example:

    ```python
    with bad_input_explained():
        model.fit(pipeline(utterances, 8))  # BadInputError: b.flac: the file is empty
    ```
    """
    try:
        yield
    except Exception as error:
        told = re.search(rf"{BadInputError.__name__}: (.+)", str(error))
        if told is None or isinstance(error, BadInputError):
            raise
        raise BadInputError(told[1]) from None


class Problems:
    """Collects problems of a corpus, or raises the first.

    Args:
        on_error: `"raise"` or `"skip"`.
        what: str, what was read, for the report.

    Attributes:
        items: list of `(name, reason)` of what was skipped.

    Raises:
        ValueError: for another `on_error`.

    Example:

    ```python
    problems = Problems("skip", "corpus/train")
    problems.add("a.flac", "the file is empty")
    problems.report()  # one warning with the count and the list
    ```
    """

    def __init__(self, on_error, what):
        if on_error not in ON_ERROR:
            raise ValueError(f"`on_error` must be one of {ON_ERROR}, got {on_error!r}.")
        self.on_error = on_error
        self.what = what
        self.items = []

    def add(self, name, reason):
        """Raise `BadInputError`, or note a problem for the report; one note a name."""
        if self.on_error == "raise":
            raise BadInputError(f"{name}: {reason}")
        if name not in dict(self.items):
            self.items.append((name, reason))

    def report(self):
        """Warn once with the count and the list, if there is anything to tell."""
        if self.items:
            lines = "".join(f"\n  {name}: {reason}" for name, reason in self.items)
            warnings.warn(f"{self.what}: skipped {len(self.items)} items:{lines}", stacklevel=3)
