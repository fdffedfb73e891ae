"""Ablations of PAD: what each of its parts contributes.

    python -m experiments.ablations                             # all groups, on PAD-SLocal
    python -m experiments.ablations --groups prior scales       # some
    python -m experiments.ablations --groups prior --changes even no-asp  # some of a group
    python -m experiments.ablations --bases pad-slocal pad-glob # those that PAD-Glob has, too
    python -m experiments.ablations --bases joint --groups balance
    python -m experiments.ablations --tiny                      # two groups in miniature
    python -m experiments.ablations --report-only               # the tables of what is done so far

The groups: prior (significance prior on either side), anchors (per text unit), scales (widths of
spans), radius (of local maxima), pooling (of spans), student-layers and teacher-attention (whose
attention makes the prior of frames, of text), teacher-layer (that is aligned to), units (word
pieces or words), hours (of speech, with as many updates), balance (of the two losses of joint).
`python -m experiments.ablations --help` explains each field; what they share with
`experiments.table1`, students, heads and references, is there only once, as both write into
runs/comparison.

Each group gives a table and a figure, with paired differences from the unchanged method:
ablations.json, ablations.md and ablations-<group>*.png. A run that was killed goes on when the same
command is given again. A change takes 15 minutes of a core a seed with `--epochs 2 --precision
mixed_bfloat16`, on a processor with AVX-512 for bfloat16; what came out so far is in
experiments/results/README.md.
"""

if not __package__:  # Run as a file, which puts this folder on the path and not the one above.
    import pathlib
    import sys

    sys.path[0] = str(pathlib.Path(__file__).parents[1])

import dataclasses
from typing import Literal

import tyro

from experiments.command_line import explained_errors
from experiments.comparison.configuration import UNDISTILLED, Comparison, Variant
from experiments.comparison.outcome import compare
from experiments.distillation.methods import METHODS

BASES = ("pad-slocal", "pad-glob", "joint")
_TINY_GROUPS = 2


@dataclasses.dataclass(frozen=True)
class Change:
    """One ablation.

    Args:
        suffix: str, behind the name of the method.
        description: str.
        objective: dict of changes to `Objective`.
        teacher: dict of changes to `Teacher`.
        student: dict of changes to `Student`.
        hours_share: float, as of `Variant`.
        bases: tuple of str, the methods that have what it changes.
    """

    suffix: str
    description: str
    objective: dict = dataclasses.field(default_factory=dict)
    teacher: dict = dataclasses.field(default_factory=dict)
    student: dict = dataclasses.field(default_factory=dict)
    hours_share: float = 1.0
    bases: tuple[str, ...] = BASES

    def of(self, base):
        """The ablation of a method.

        Args:
            base: str, name of the method.

        Returns:
            `Variant`.
        """
        description, objective = METHODS[base]
        return Variant(
            f"{base}-{self.suffix}",
            f"{description}; {self.description}",
            dataclasses.replace(objective, **self.objective),
            self.teacher,
            self.student,
            self.hours_share,
        )


def _spans(suffix, description, **objective):
    return Change(suffix, description, objective, bases=("pad-slocal", "joint"))


def _pooled(suffix, description, **objective):
    return Change(suffix, description, objective, bases=("pad-glob",))


# name: (what it is about, changes); the unchanged method belongs to each group
GROUPS = {
    "prior": (
        "attention-based significance prior",
        (
            Change(
                "no-prior",
                "text units weighted alike, and frames where they are pooled",
                {"weighting": "uniform"},
            ),
            _pooled(
                "no-text-prior",
                "text units weighted alike, frames by the student's prior",
                weighting="uniform",
                speech_weighting="significance",
            ),
            _pooled(
                "no-speech-prior",
                "frames weighted alike, text units by the teacher's prior",
                speech_weighting="uniform",
            ),
            Change(
                "idf", "text units weighted by idf", {"weighting": "idf"}, bases=("pad-slocal",)
            ),
            _spans("even", "no prior of frames: even stride", anchor_selection="even"),
            _spans(
                "no-asp",
                "no prior on either side",
                weighting="uniform",
                anchor_selection="even",
            ),
        ),
    ),
    "anchors": (
        "anchors per text unit (2)",
        tuple(
            _spans(f"anchors-{count:g}", f"{count:g} anchors per text unit", anchors_per_unit=count)
            for count in (1.0, 4.0)
        ),
    ),
    "scales": (
        "widths of spans in mean frames per text unit (0.5, 1, 2)",
        (
            _spans("one-scale", "spans of one width", scales=(1.0,)),
            _spans("five-scales", "spans of 5 widths", scales=(0.25, 0.5, 1.0, 2.0, 4.0)),
        ),
    ),
    "radius": (
        "half width of local maxima in frames (2)",
        tuple(_spans(f"radius-{r}", f"radius of {r} frames", radius=r) for r in (0, 4)),
    ),
    "pooling": (
        "average of the frames of a span (plain)",
        (_spans("weighted-pooling", "weighted by the prior", pooling="significance"),),
    ),
    "student-layers": (
        "student's layers whose attention makes the prior (all)",
        (
            Change("first-layer", "the first", student={"significance_layers": (0,)}),
            Change("last-layer", "the last", student={"significance_layers": (-1,)}),
        ),
    ),
    "teacher-attention": (
        "teacher's layers whose attention makes the prior of text (all)",
        (
            Change("text-first-layer", "the first", teacher={"significance_layers": (0,)}),
            Change("text-last-layer", "the last", teacher={"significance_layers": (-1,)}),
        ),
    ),
    "teacher-layer": (
        "teacher's layer that is aligned to (the last)",
        (
            Change("teacher-last-but-1", "the last but one", teacher={"layer": -2}),
            Change("teacher-last-but-3", "the last but three", teacher={"layer": -4}),
            Change("teacher-embeddings", "the embeddings", teacher={"layer": 0}),
        ),
    ),
    "balance": (
        "weight of the global loss beside the local one (0.01)",
        tuple(
            Change(f"global-{w:g}", f"{w:g}", {"weights": (w, 1.0)}, bases=("joint",))
            for w in (0.001, 0.1)
        ),
    ),
    "units": (
        "text units (word pieces)",
        (Change("words", "whole words", teacher={"text_units": "word"}),),
    ),
    "hours": (
        "hours of speech (all), as many updates",
        (
            Change("half-hours", "half of the hours", hours_share=0.5),
            Change("quarter-hours", "a quarter of the hours", hours_share=0.25),
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class Ablations(Comparison):
    """Methods of PAD and what is left when a part is changed."""

    groups: tuple[Literal[tuple(GROUPS)], ...] = tuple(GROUPS)
    """What is varied."""
    bases: tuple[Literal[BASES], ...] = BASES[:1]
    """The methods that are varied; PAD-Glob has no spans, so only some groups;
    joint alone has a balance."""
    changes: tuple[str, ...] = ()
    """The changes of the groups that are made, without the method's name; all if none is named."""

    def __post_init__(self):
        """Check groups, bases and changes too."""
        super().__post_init__()
        for name, known in (("groups", tuple(GROUPS)), ("bases", BASES)):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or not set(values) <= set(known):
                raise ValueError(
                    f"`{name}` must be different ones of {known}, at least one, got {values!r}."
                )
        there = [change.suffix for group in self.groups for change in self._changes_of(group, ())]
        if unknown := [suffix for suffix in self.changes if suffix not in there]:
            raise ValueError(
                f"`changes` has {unknown}; those of {self.groups} for {self.bases} are {there}."
            )

    def resolved(self):
        """The comparison that is run; its tiny form has two groups, with a change each."""
        resolved = super().resolved()
        if not self.tiny:
            return resolved
        tiny = dataclasses.replace(resolved, bases=self.bases[:1], changes=())
        chosen = {group: tiny._changes_of(group, self.changes) for group in self.groups}
        groups = tuple(filter(chosen.get, self.groups))[:_TINY_GROUPS]
        suffixes = tuple(one.suffix for group in groups for one in chosen[group])
        return dataclasses.replace(
            tiny,
            groups=groups or self.groups[:_TINY_GROUPS],
            changes=suffixes if self.changes else (),
        )

    def variants_of(self, group):
        """The ablations of a group.

        Args:
            group: str.

        Returns:
            List of `Variant`.
        """
        changes = self._changes_of(group, self.changes)[: 1 if self.tiny else None]
        return [
            change.of(base) for base in self.bases for change in changes if base in change.bases
        ]

    def _changes_of(self, group, chosen):
        return [
            change
            for change in GROUPS[group][1]
            if set(change.bases) & set(self.bases) and (not chosen or change.suffix in chosen)
        ]

    def variants(self):
        """The methods as they are, then all ablations."""
        unchanged = [Variant(base, *METHODS[base]) for base in self.bases]
        return unchanged + [one for group in self.groups for one in self.variants_of(group)]


def main(settings):
    """Run, print and write the ablations.

    Args:
        settings: `Ablations`.

    Returns:
        Dict, the contents of `ablations.json`.
    """
    resolved = settings.resolved()
    groups, pairs = {}, []
    for group in resolved.groups:
        names = [variant.name for variant in resolved.variants_of(group)]
        if not names:
            print(f"{group}: {', '.join(resolved.bases)} has no such ablation")
            continue
        shown = (UNDISTILLED, *resolved.references, *resolved.bases, *names)
        groups[f"ablations-{group}"] = (f"Ablation: {GROUPS[group][0]}", shown)
        pairs += [
            (name, base) for name in names for base in resolved.bases if name.startswith(f"{base}-")
        ]
    return compare(settings, "ablations", pairs, groups)


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Ablations, description=__doc__))
