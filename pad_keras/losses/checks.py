"""Checks of the losses' arguments."""


def positive(name, value):
    """A number that must be greater than zero.

    Args:
        name: str, the argument's name.
        value: float.

    Returns:
        `value` as a float.

    Raises:
        ValueError: naming the argument and its value.
    """
    if not value > 0:
        raise ValueError(f"`{name}` must be greater than 0, got {value}.")
    return float(value)


def non_negative(name, value):
    """A number that must be zero or greater.

    Args:
        name: str, the argument's name.
        value: float.

    Returns:
        `value` as a float.

    Raises:
        ValueError: naming the argument and its value.
    """
    if not value >= 0:
        raise ValueError(f"`{name}` must be 0 or greater, got {value}.")
    return float(value)
