"""Checks of what a command is told, before it computes."""

import math


def check_at_least_one(settings, *names):
    """Check fields that count something.

    Args:
        settings: dataclass.
        *names: str, fields that hold an int, `None`, or a sequence of ints.

    Raises:
        ValueError: naming the field.
    """
    for name, value in _values(settings, names):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")


def check_positive(settings, *names):
    """Check fields that measure something: above 0, and a finite number.

    Args:
        settings: dataclass.
        *names: str, fields that hold a float, `None`, or a sequence of floats.

    Raises:
        ValueError: naming the field.
    """
    for name, value in _values(settings, names):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` must be positive and finite, got {value}.")


def _values(settings, names):
    """Names and values of fields, one by one; those that are `None` are left out."""
    for name in names:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple | list) else (value,):
            if one is not None:
                yield name, one
