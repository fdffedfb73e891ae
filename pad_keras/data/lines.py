"""Lines of the text files that describe a corpus."""


def read_lines(path, problems):
    """Lines of a UTF-8 text file; one that is none is a problem and has no lines.

    Args:
        path: `pathlib.Path`.
        problems: `Problems`.

    Returns:
        List of str.

    Raises:
        BadInputError: naming the file, if problems are raised.
    """
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        problems.add(str(path), f"it is no UTF-8 text ({error}); convert it, or remove it")
        return []
