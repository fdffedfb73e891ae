"""Lines of the text files that describe a corpus."""

# Editors on Windows write a byte order mark first.
ENCODING = "utf-8-sig"


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
        return split_lines(path.read_text(encoding=ENCODING))
    except UnicodeDecodeError as error:
        problems.add(str(path), f"it is no UTF-8 text ({error}); convert it, or remove it")
        return []


def split_lines(text):
    """Lines of a text that was read from a file; `str.splitlines` also splits at a form feed.

    Args:
        text: str.

    Returns:
        List of str.
    """
    return text.removesuffix("\n").split("\n") if text else []
