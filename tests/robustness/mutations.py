"""Damage to files, as hypothesis draws it."""

import os
import re

from hypothesis import strategies

# What parsers stumble over: ends of integers' ranges, endings, quotes, numbers that are none.
_NUMBERS = [b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"]
_TEXTS = [b"\0", b"\n", b"\r", b"\t", b'"', b"\xff\xfe", b"../", b"nan", b"-1", b"1e999", b"{}"]
_WORDS = [b"null", b"[]", b"-1", b"0", b"1e999", b"NaN", b"999999999999", b'"x"', b"{}", b"true"]
_TOKEN = re.compile(rb"[\w.\-+]+")
_KINDS = ("replace", "insert", "delete", "repeat", "cut", "token")

# Cases of each kind of file; PAD_KERAS_MUTATIONS=1000 draws that many.
CASES = int(os.environ.get("PAD_KERAS_MUTATIONS", "25"))


@strategies.composite
def edits(draw):
    """One piece of damage: its kind, where, how much, and what is put there."""
    return (
        draw(strategies.sampled_from(_KINDS)),
        draw(strategies.floats(0, 1, exclude_max=True)),
        draw(strategies.integers(1, 64)),
        draw(
            strategies.one_of(
                strategies.binary(min_size=1, max_size=8),
                strategies.sampled_from(_NUMBERS + _TEXTS),
            )
        ),
        draw(strategies.sampled_from(_WORDS)),
    )


# Half of what matters is in the first bytes.
damage = strategies.lists(strategies.tuples(edits(), strategies.booleans()), min_size=1, max_size=5)


def damaged(contents, changes):
    """Apply damage.

    Args:
        contents: bytes.
        changes: as `damage` draws them.

    Returns:
        bytes.
    """
    for (kind, place, count, inserted, word), at_the_head in changes:
        size = min(len(contents), 128) if at_the_head else len(contents)
        start = int(place * size)
        before, after = contents[:start], contents[start:]
        if kind == "replace":
            contents = before + inserted + after[len(inserted) :]
        elif kind == "insert":
            contents = before + inserted + after
        elif kind == "delete":
            contents = before + after[count:]
        elif kind == "repeat":
            contents = before + after[:count] * 3 + after[count:]
        elif kind == "cut":
            contents = before
        else:
            token = _TOKEN.search(after)
            if token is not None:
                contents = before + after[: token.start()] + word + after[token.end() :]
    return contents
