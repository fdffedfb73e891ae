"""What do the significance priors weigh? Of students, distilled or not, and of the teacher.

    python -m experiments.prior                                   # the shipped encoders
    python -m experiments.prior --students runs/pad-glob/student runs/mean-l1/student
    python -m experiments.prior --student-layers -1 --teacher-layers -1   # of the last layers alone
    python -m experiments.prior --tiny                            # a few utterances

on speech with word times (the embedded corpus' validation speakers), in half a minute an encoder:

- silence: weight of the frames outside of words, 1 if weighed like others;
- spread: perplexity of the prior by the number of frames, 1 for an even prior;
- anchored: share of words that hold an anchor; even: one of as many evenly strided anchors;
- agreement: rank correlation of the words' weights in speech and in text, within an utterance;
  durations: the same of the words' durations, which is what frames that are weighed alike give;
- shift: how far the prior moves the mean over frames (units), squared, by the variance of these
  means over utterances: where it is small, a global loss can hardly tell prior from plain mean.

Writes OUT/prior.json.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import dataclasses
import pathlib

import keras
import numpy as np
import tyro
from keras import ops, tree

from experiments import prior_measures
from experiments.command_line import explained_errors
from experiments.distillation.configuration import EMBEDDED_CORPUS
from experiments.results import corpus_hash, plain, print_table, versions, write_json
from experiments.students import DISTILLED, PRETRAINED
from pad_keras import data, losses, models
from pad_keras.metrics.alignment import unit_words

_TINY_UTTERANCES = 8
# As `SpanAlignment` has them by default.
_SELECTIONS = {"anchored": "significant", "even": "even"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Whose priors are measured, on what."""

    students: tuple[str, ...] = (PRETRAINED, DISTILLED)
    """Presets of speech encoders."""
    teacher: str = "minilm"
    """Preset of the text encoder."""
    student_layers: tuple[int, ...] = ()
    """Layers of the students whose attention makes the prior; -1 is the last. Empty takes all."""
    teacher_layers: tuple[int, ...] = ()
    """Likewise of the teacher."""
    root: pathlib.Path = EMBEDDED_CORPUS
    """A corpus in LibriSpeech's layout with word times."""
    subset: str = "valid"
    """Its part."""
    batch_size: int = 8
    """Utterances at once."""
    out: pathlib.Path = pathlib.Path("runs/prior")
    """Where prior.json goes."""
    tiny: bool = False
    """A few utterances."""


def main(settings):
    """Measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        Dict, the contents of `prior.json`.

    Raises:
        ValueError: if no utterance has word times, or without students.
    """
    if not settings.students:
        raise ValueError("`students` is empty; name a preset at least.")
    utterances = [
        u for u in data.librispeech(settings.root, None, subsets=[settings.subset]) if u.words
    ]
    if not utterances:
        raise ValueError(f"No utterance in {settings.root} has word times; add words.tsv.")
    utterances = utterances[: _TINY_UTTERANCES if settings.tiny else None]
    teacher = models.TextTeacher.from_preset(
        settings.teacher, significance_layers=settings.teacher_layers or None
    )
    found = {
        plain(name): measure(name, teacher, utterances, settings) for name in settings.students
    }
    results = {
        "configuration": settings,
        "versions": versions(),
        "corpus": corpus_hash(utterances),
        "utterances": len(utterances),
        "students": {name: measures for name, (measures, _) in found.items()},
        "teacher": next(iter(found.values()))[1],
    }
    write_json(settings.out / "prior.json", results)
    for title, rows in (
        ("priors of speech", results["students"]),
        ("prior of text", {settings.teacher: results["teacher"]}),
    ):
        columns = list(next(iter(rows.values())))
        print_table(
            f"{title}, {len(utterances)} utterances",
            ["encoder", *columns],
            [[name, *row.values()] for name, row in rows.items()],
        )
    return results


def measure(preset, teacher, utterances, settings):
    """Measures of a student's prior, and of the teacher's.

    Args:
        preset: str, the student.
        teacher: `TextTeacher`.
        utterances: list of `Utterance` with word times.
        settings: `Settings`.

    Returns:
        Tuple of dicts of float: of the student, of the teacher.
    """
    keras.utils.set_random_seed(0)
    student = models.Wav2Vec2Backbone.from_preset(
        preset, significance_layers=settings.student_layers or None
    )
    distiller = models.AlignmentDistiller(teacher, student, losses.SpanAlignment())
    tokenizer = data.TextTokenizer.for_utterances(teacher.tokenizer, utterances)
    batches = data.pipeline(utterances, settings.batch_size, text=tokenizer)
    ordered = data.batch_order(utterances, settings.batch_size)
    heard = list(_heard(distiller, batches))
    rows = [_row(*pair, teacher) for pair in zip(heard, ordered, strict=True)]
    # An utterance without pauses says nothing of them, one of two words nothing of their order.
    mean = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    text = {"spread": mean.pop("text_spread"), "shift": _shift([one.text for one in heard])}
    return {**mean, "shift": _shift([one.speech for one in heard])}, text


@dataclasses.dataclass
class _Side:
    """Prior of an utterance without padding, `[units]`, and its units' means, `[dim]`."""

    significance: np.ndarray
    weighted_mean: np.ndarray
    mean: np.ndarray


@dataclasses.dataclass
class _Heard:
    """An utterance as student and teacher have it, and its anchors by how they are selected."""

    speech: _Side
    text: _Side
    anchors: dict


def _heard(distiller, batches):
    """What a distiller makes of batches, one `_Heard` after the other."""
    pools = {
        name: losses.SpanAlignment(anchor_selection=selection)
        for name, selection in _SELECTIONS.items()
    }
    for batch in batches:
        batch = tree.map_structure(ops.convert_to_numpy, batch)
        speech = tree.map_structure(ops.convert_to_numpy, distiller.predict_on_batch(batch))
        text = tree.map_structure(ops.convert_to_numpy, distiller.teacher_units(batch))
        anchors = {
            name: ops.convert_to_numpy(pool.spans(text, speech)["anchors"])
            for name, pool in pools.items()
        }
        for index in range(len(speech["mask"])):
            chosen = {name: found[index][found[index] >= 0] for name, found in anchors.items()}
            yield _Heard(_real(speech, index), _real(text, index), chosen)


def _real(side, index):
    mask = side["mask"][index]
    embeddings, significance = (side[name][index][mask] for name in ("embeddings", "significance"))
    return _Side(significance, significance @ embeddings, embeddings.mean(axis=0))


def _row(heard, utterance, teacher):
    """Measures of one utterance."""
    times = [(word.start, word.end) for word in utterance.words]
    significance, of_pieces = heard.speech.significance, heard.text.significance
    words = prior_measures.frames_of_words(len(significance), times)
    pieces = unit_words(utterance.text, teacher.tokenizer, teacher.text_units)
    of_text = prior_measures.word_weights(of_pieces, pieces, len(times))
    anchored = {
        name: prior_measures.anchored_words(found, words) for name, found in heard.anchors.items()
    }
    return {
        "silence": prior_measures.silence_weight(significance, words),
        "spread": prior_measures.spread(significance),
        **anchored,
        "agreement": prior_measures.agreement(words @ significance, of_text),
        "durations": prior_measures.agreement(words.sum(axis=1), of_text),
        "text_spread": prior_measures.spread(of_pieces),
    }


def _shift(sides):
    return prior_measures.shift(
        np.stack([side.weighted_mean for side in sides]), np.stack([side.mean for side in sides])
    )


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
