"""Matplotlib figures as arrays, for TensorBoard."""

import io

import numpy as np

_DOTS_PER_INCH = 100


def new_figure(size):
    """An empty figure without a window.

    Args:
        size: tuple, width and height in inches at 100 dots an inch.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install pad-keras[experiments]") from error
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_array(figure):
    """The picture that a figure shows.

    Args:
        figure: `matplotlib.figure.Figure`, as `new_figure` makes it.

    Returns:
        `[height, width, 4]` uint8 array.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba")
    width, height = (int(round(inches * _DOTS_PER_INCH)) for inches in figure.get_size_inches())
    return np.frombuffer(buffer.getvalue(), "uint8").reshape(height, width, 4)
