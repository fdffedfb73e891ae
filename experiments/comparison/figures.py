"""Figures of a comparison: PNG files, and the same pictures in TensorBoard."""

import io

import matplotlib
import PIL.Image
import tensorflow as tf

from experiments.comparison.configuration import FLOOR, TOPLINE, UNDISTILLED
from experiments.comparison.measures import COLUMNS
from experiments.comparison.summary import ALIGNMENT
from pad_keras.callbacks.figures import figure_array, new_figure
from pad_keras.files import write_atomically

# Of the reference lines; safe for colour-blind readers (Okabe and Ito).
_LINES = {UNDISTILLED: "#0072b2", FLOOR: "#999999", TOPLINE: "#009e73", "chance": "#d55e00"}
_BAR = "#4c566a"
# Of a picture's palette: those of the lines, and what lies between them at their edges.
_COLOURS = 64
# Of word overlap, each bar has its own.
_CHANCES = "word_overlap_chance"
# With colours that come again, markers tell curves apart.
_MARKERS = "osD^v<>Px*h"
_DASHES = {"chance": ":", FLOOR: "--", UNDISTILLED: "-", TOPLINE: "-."}


def write_figures(summary, folder, name, names=None):
    """Draw a summary.

    Args:
        summary: dict, as `experiments.comparison.summary.summarise` gives it.
        folder: path; gets `<name>.png`, `<name>-shots.png`, `<name>-alignment.png`, those that
            there is something to show in, and `tensorboard/<name>`.
        name: str.
        names: sequence of str, the encoders; by default all.

    Returns:
        List of paths, the PNG files.
    """
    encoders = {key: summary["encoders"][key] for key in (names or summary["encoders"])}
    drawn = {
        name: draw_table(encoders, summary["encoders"], summary["chance"]),
        f"{name}-shots": draw_shots(encoders),
        f"{name}-alignment": draw_alignment(encoders, summary["alignment_chance"]),
    }
    drawn = {title: figure for title, figure in drawn.items() if figure is not None}
    folder.mkdir(parents=True, exist_ok=True)
    with tf.summary.create_file_writer(str(folder / "tensorboard" / name)).as_default(step=0):
        for title, figure in drawn.items():
            picture = figure_array(figure)
            write_atomically(folder / f"{title}.png", _png(picture))
            tf.summary.image(title, picture[None])
    return [folder / f"{title}.png" for title in drawn]


def _png(picture):
    """Contents of a PNG file with a palette, a third as large as one without."""
    contents = io.BytesIO()
    image = PIL.Image.fromarray(picture).convert("RGB")
    image.quantize(_COLOURS, dither=PIL.Image.Dither.NONE).save(contents, "PNG", optimize=True)
    return contents.getvalue()


def draw_table(encoders, references, chance):
    """Bars of each measure with intervals, and lines of the references.

    Args:
        encoders: dict from name to its part of the summary; the references among them are lines.
        references: dict alike, that holds the references.
        chance: dict from a column's key to float.

    Returns:
        `matplotlib.figure.Figure`; `None` if no distilled encoder has a value.
    """
    bars = {name: one for name, one in encoders.items() if name not in _LINES and one["table"]}
    columns = [c for c in COLUMNS if any(c.key in one["table"] for one in bars.values())]
    if not columns:
        return None
    figure = new_figure((4.2 * len(columns), 1.8 + 0.32 * len(bars)))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        lines = {
            name: references[name]["table"][column.key]["mean"]
            for name in (FLOOR, UNDISTILLED, TOPLINE)
            if column.key in references.get(name, {}).get("table", {})
        }
        if column.key in chance:
            lines["chance"] = chance[column.key]
        _bars(axes, {name: one["table"].get(column.key) for name, one in bars.items()}, lines)
        axes.set_title(column.title)
    _legend(figure, panels)
    return figure


def draw_alignment(encoders, chance):
    """Bars of the alignment measures.

    Args:
        encoders: dict from name to its part of the summary.
        chance: dict from measure to float.

    Returns:
        `matplotlib.figure.Figure`; `None` if there is no measure.
    """
    bars = {name: one["alignment"] for name, one in encoders.items() if one["alignment"]}
    measures = [m for m in ALIGNMENT if m != _CHANCES and any(m in one for one in bars.values())]
    if not measures:
        return None
    figure = new_figure((4.2 * len(measures), 1.8 + 0.32 * len(bars)))
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        lines = {"chance": chance[measure]} if measure in chance else {}
        _bars(axes, {name: one.get(measure) for name, one in bars.items()}, lines)
        if _CHANCES.startswith(measure):
            chances = [one.get(_CHANCES, {}).get("mean") for one in bars.values()]
            places = [place for place, value in enumerate(chances) if value is not None]
            values = [chances[place] for place in places]
            axes.scatter(values, places, marker="|", s=150, color=_LINES["chance"], zorder=3)
        axes.set_title(ALIGNMENT[measure])
    _legend(figure, panels)
    return figure


def draw_shots(encoders):
    """Curves of intent accuracy over the number of training utterances of each intent.

    Args:
        encoders: dict from name to its part of the summary.

    Returns:
        `matplotlib.figure.Figure`; `None` if there are no few-shot results.
    """
    curves = {name: one for name, one in encoders.items() if one["shots"]}
    if not curves:
        return None
    shots = sorted({int(k) for one in curves.values() for k in one["shots"]})
    figure = new_figure((9, 5.5))
    axes = figure.subplots()
    colours = matplotlib.colormaps["Dark2"].colors
    for index, (name, one) in enumerate(curves.items()):
        points = [one["shots"].get(str(k)) for k in shots] + [one["table"].get("ic")]
        places = [place for place, point in enumerate(points) if point]
        is_reference = name in _LINES
        axes.errorbar(
            # Side by side, that intervals do not hide each other.
            [place + 0.02 * (index - len(curves) / 2) for place in places],
            [points[place]["mean"] for place in places],
            [points[place]["interval"] or 0 for place in places],
            label=name,
            color=_LINES[name] if is_reference else colours[index % len(colours)],
            linestyle=_DASHES.get(name, "-"),
            marker=None if is_reference else _MARKERS[index % len(_MARKERS)],
            markersize=5,
            capsize=2,
            linewidth=2 if is_reference else 1,
        )
    axes.set_xticks(range(len(shots) + 1), [*map(str, shots), "all"])
    axes.set_xlabel("training utterances of each intent")
    axes.set_ylabel("IC accuracy")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _bars(axes, values, lines):
    """Horizontal bars with intervals, the first on top; lines across them."""
    places = [place for place, value in enumerate(values.values()) if value]
    shown = [value for value in values.values() if value]
    axes.barh(
        places,
        [value["mean"] for value in shown],
        xerr=[value["interval"] or 0 for value in shown],
        color=_BAR,
        height=0.6,
        error_kw={"capsize": 3, "ecolor": "#e69f00"},
    )
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.4, -0.6)
    for name, value in lines.items():
        axes.axvline(value, label=name, color=_LINES[name], linestyle=_DASHES[name])


def _legend(figure, panels):
    """One legend of the lines of all panels."""
    lines = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(label, handle)
    if lines:
        figure.legend(lines.values(), lines, loc="outside lower center", ncols=len(lines))
