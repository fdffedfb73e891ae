"""SUPERB's published row beside what was measured."""

from experiments.comparison.measures import COLUMNS
from experiments.comparison.report import Text
from pad_keras.models import Wav2Vec2Backbone

# SUPERB (arXiv 2105.01051), table of results: wav2vec 2.0 Base; in percent.
PUBLISHED = {"ic": 92.35, "sf_f1": 88.30, "sf_cer": 24.77, "er": 63.43}
PUBLISHED_NAME = "wav2vec2-base, as SUPERB published it"


def beside_superb(summary):
    """What was measured, in percent, below SUPERB's row.

    Args:
        summary: dict, as `experiments.comparison.summary.summarise` gives it.

    Returns:
        `Text`.
    """
    encoders = summary["encoders"]
    columns = [c for c in COLUMNS if any(c.key in one["table"] for one in encoders.values())]
    rows = [[PUBLISHED_NAME, *(f"{PUBLISHED[column.key]:.2f}" for column in columns)]]
    for name, one in encoders.items():
        if one["table"]:
            rows.append([name, *(_percent(one["table"].get(column.key)) for column in columns)])
    return Text(
        "Beside SUPERB",
        ["encoder", *(column.title for column in columns)],
        rows,
        "In percent. The published row is of the whole schedule (200,000 updates of IC and SF, "
        "30,000 of ER) and of the learning rate that was best there; `undistilled` is the same "
        "encoder here, on waveforms as they are, as there.",
    )


def as_superb_hears(encoder):
    """An encoder whose waveform is normalised only if its convolutions have layer norm.

    wav2vec2-base and large, with group norm, were trained on waveforms as they are, and so SUPERB
    feeds them; the preprocessor that transformers has beside base's weights normalises.

    Args:
        encoder: `Wav2Vec2Backbone`.

    Returns:
        `Wav2Vec2Backbone`, the same one if nothing changes.
    """
    if encoder.conv_norm == "layer" or not encoder.normalize_waveform:
        return encoder
    changed = Wav2Vec2Backbone.from_config({**encoder.get_config(), "normalize_waveform": False})
    changed.set_weights(encoder.get_weights())
    return changed


def _percent(value):
    if value is None:
        return "-"
    mean = f"{100 * value['mean']:.2f}"
    return mean if value["interval"] is None else f"{mean} ± {100 * value['interval']:.2f}"
