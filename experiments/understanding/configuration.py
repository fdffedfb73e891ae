"""Typed configuration of an experiment in understanding, and the recipes."""

import dataclasses
import pathlib
from typing import ClassVar, Literal

import tyro

from experiments.backends import check_shareable
from experiments.checks import check_at_least_one, check_positive
from experiments.results import plain
from experiments.students import PRETRAINED
from pad_keras.models.bert_presets import MINILM

# Encoders that are no speech encoders: log-mel filterbanks, the floor, and a text encoder of the
# right words, the topline.
LOG_MEL, TEXT = "log-mel", "text"
_CORPORA = pathlib.Path(__file__).parents[1] / "corpora"
EMBEDDED_CORPORA = {
    "ic": _CORPORA / "intents",
    "sf": _CORPORA / "slots",
    "er": _CORPORA / "emotions",
}
SESSIONS = (1, 2, 3, 4, 5)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a head is trained.

    Args:
        updates: int, of the optimizer.
        evaluate_every: int, updates between two measurements on the validation set.
        batch_size: int, utterances of a step.
        accumulation: int, steps whose gradients make one update.
        learning_rate: float, of Adam.
        projection_dim: int, width of the head's projection.
        lstm_dim: int, width of each direction of the slot filler's LSTMs.
        spec_augment: bool, feature SpecAugment of the slot filler.
    """

    updates: int
    evaluate_every: int
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 1e-4
    projection_dim: int = 256
    lstm_dim: int = 1024
    spec_augment: bool = True


RECIPES = {
    # SUPERB (arXiv 2105.01051), as its reference code runs it.
    "superb": {
        "ic": Recipe(updates=200_000, evaluate_every=5_000),
        "sf": Recipe(updates=200_000, evaluate_every=2_000, projection_dim=1024),
        "er": Recipe(updates=30_000, evaluate_every=1_000, batch_size=4, accumulation=8),
    },
    # For minutes on two cores: the same heads, the slot filler narrower, on small corpora.
    "short": {
        "ic": Recipe(updates=1_000, evaluate_every=50, learning_rate=2e-3),
        "sf": Recipe(
            updates=800,
            evaluate_every=100,
            batch_size=16,
            learning_rate=1e-3,
            projection_dim=256,
            lstm_dim=128,
        ),
        "er": Recipe(updates=600, evaluate_every=50, learning_rate=2e-3),
    },
}


@dataclasses.dataclass(frozen=True)
class Understanding:
    """An experiment: one task, one encoder, some learning rates and seeds."""

    task: tyro.conf.Suppress[Literal["ic", "sf", "er"]]
    """Intent classification, slot filling, or emotion recognition."""
    encoder: str = PRETRAINED
    """Preset's folder, hf://owner/name or a folder in the transformers layout; mini, base or large
    has random weights. Two references beside: log-mel, the filterbanks alone (the floor), and text
    or text:PRESET, a text encoder of the right words (the topline; MiniLM, or any preset of the
    teacher). Write ./text for a folder of such a name."""
    data: pathlib.Path | None = None
    """Folder of Fluent Speech Commands (ic), Audio SNIPS (sf) or IEMOCAP (er), or of a corpus in
    their layout. None takes the embedded corpus."""
    recipe: Literal["short", "superb"] = "short"
    """superb: the whole of SUPERB's schedule; short: minutes on two CPU cores."""
    learning_rates: tuple[float, ...] = ()
    """The sweep; the best on valid is tested. It is the only thing SUPERB lets one tune. Empty
    takes the recipe's."""
    seeds: tuple[int, ...] = (0,)
    """Of head, order of batches and few-shot subset; the table gives mean and 95 % interval."""
    shots: int | None = None
    """Training utterances of each class (in slot filling: of each intent); None takes all. The
    validation set stays whole."""
    folds: tuple[int, ...] = SESSIONS
    """Sessions that are left out in turn (er); the result is the mean over them."""
    updates: int | None = None
    """In place of the recipe's; rounded up to a whole number of evaluations."""
    evaluate_every: int | None = None
    """In place of the recipe's."""
    batch_size: int | None = None
    """In place of the recipe's."""
    normalize_states: bool = False
    """Give each frame of each layer of a speech encoder zero mean and unit variance before the
    layers are weighed, as SUPERB's code does on request; the references stay as they are."""
    layers: tuple[int, ...] = ()
    """Hidden states that the head weighs: 0 the transformer's input, -1 the last layer. Empty takes
    all, as SUPERB does."""
    fine_tune: bool = False
    """Train the encoder too; its hidden states are not cached then."""
    cache: bool = True
    """Compute the hidden states of a frozen encoder once and keep them on disk."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy of encoder and head."""
    gradient_checkpointing: bool = False
    """Compute each transformer layer again in the backward pass of an encoder that is fine-tuned:
    less memory for more time."""
    jit_compile: bool | None = None
    """Compile by XLA; None does so on JAX, and on TensorFlow where there is a GPU."""
    devices: int = 1
    """Devices, GPUs where there are any, that share each batch; not on torch. Of
    several processes (see experiments/processes.py), the devices of all. The result is that of one
    device but for rounding."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a broken file does: stop with its name, or be left out and listed at the end."""
    export: pathlib.Path | None = None
    """Write the first seed's (and fold's) tested head as a SavedModel here; one that is there
    already is replaced."""
    pictures: bool = True
    """Show confusions, slots and the weights of layers of each head's last epoch in
    TensorBoard."""
    out: pathlib.Path = pathlib.Path("runs")
    """The experiment writes into OUT/NAME, and hidden states, which experiments share, into
    OUT/hidden_states; what is done there already is not done again."""
    name: str | None = None
    """Names the folder. None takes the task, the encoder's name and the shots."""
    tiny: bool = False
    """Try everything out in a minute: a few utterances and updates."""

    # Fields that may differ when an experiment goes on: they change no number but for rounding.
    FREE: ClassVar[tuple[str, ...]] = (
        "name",
        "out",
        "export",
        "pictures",
        "cache",
        "jit_compile",
        "devices",
        "gradient_checkpointing",
    )

    def __post_init__(self):
        """Check what would otherwise fail, or mislead, only after a long run."""
        check_positive(self, "learning_rates")
        for name in ("learning_rates", "seeds", "folds"):
            values = getattr(self, name)
            if len(set(values)) < len(values) or not (values or name == "learning_rates"):
                raise ValueError(f"`{name}` must be different values, got {values}.")
        if not set(self.folds) <= set(SESSIONS):
            raise ValueError(f"`folds` must be of {SESSIONS}, got {self.folds}.")
        check_at_least_one(self, "shots", "updates", "evaluate_every", "batch_size")
        if min(self.seeds) < 0:
            raise ValueError(f"`seeds` must be at least 0, got {self.seeds}.")
        recipe = self.resolved_recipe
        check_shareable(recipe.batch_size, self.devices, self.precision, recipe.accumulation)
        self._check_reference()

    def _check_reference(self):
        """Check what an encoder that is no speech encoder cannot do."""
        if self.text_preset == "":
            raise ValueError(
                f"`encoder` {self.encoder!r} names no preset; give 'text', which is MiniLM, or "
                "'text:PRESET'."
            )
        if self.encoder == LOG_MEL and self.fine_tune:
            raise ValueError(
                f"`fine_tune` is True, and encoder {LOG_MEL!r} has no weights; leave it out."
            )
        if self.text_preset is None:
            return
        for name, value, default in (
            ("fine_tune", self.fine_tune, False),
            ("cache", self.cache, True),
            ("export", self.export, None),
        ):
            if value != default:
                raise ValueError(
                    f"`{name}` is {value}, and encoder {self.encoder!r} reads transcripts: it is "
                    "frozen, its states are cached, and nothing that takes audio can be exported. "
                    f"Leave `{name}` at {default}, or take a speech encoder."
                )

    @property
    def text_preset(self):
        """Preset of the text encoder; `None` if the encoder is not one."""
        kind, has_preset, preset = self.encoder.partition(":")
        if kind != TEXT:
            return None
        return preset if has_preset else MINILM

    @property
    def folder(self):
        """Where the experiment writes."""
        shots = "" if self.shots is None else f"-{self.shots}-shot"
        name = self.name or f"{self.task}-{_short_name(self.encoder)}{shots}"
        return self.out / (f"{name}-tiny" if self.tiny else name)

    @property
    def root(self):
        """Where the corpus is."""
        return EMBEDDED_CORPORA[self.task] if self.data is None else self.data

    @property
    def resolved_recipe(self):
        """The recipe with the changes that were asked for."""
        recipe = RECIPES[self.recipe][self.task]
        if self.tiny:
            recipe = dataclasses.replace(
                recipe,
                updates=12,
                evaluate_every=6,
                batch_size=4,
                accumulation=1,
                projection_dim=32,
                lstm_dim=16,
            )
        changes = {
            name: value
            for name in ("updates", "evaluate_every", "batch_size")
            if (value := getattr(self, name)) is not None
        }
        recipe = dataclasses.replace(recipe, **changes)
        # At least one measurement.
        every = min(recipe.evaluate_every, recipe.updates)
        return dataclasses.replace(recipe, evaluate_every=every)

    def jobs(self):
        """The heads to train: each learning rate, seed and fold.

        Returns:
            List of `Job`.
        """
        rates = self.learning_rates or (self.resolved_recipe.learning_rate,)
        folds = self.resolved_folds
        return [Job(rate, seed, fold) for rate in rates for seed in self.seeds for fold in folds]

    @property
    def resolved_folds(self):
        """Folds of the task; `None` is the one split of a corpus that has no folds."""
        if self.task != "er":
            return (None,)
        return self.folds[:1] if self.tiny else self.folds


@dataclasses.dataclass(frozen=True)
class Job:
    """One head to train.

    Args:
        learning_rate: float.
        seed: int.
        fold: int, or `None`.
    """

    learning_rate: float
    seed: int
    fold: int | None = None

    @property
    def name(self):
        """Names the job's folder."""
        fold = "" if self.fold is None else f"-fold-{self.fold}"
        return f"lr-{self.learning_rate:g}-seed-{self.seed}{fold}"


def _short_name(encoder):
    """How folders call an encoder."""
    if encoder.startswith(f"{TEXT}:"):
        return f"{TEXT}-{_short_name(encoder.removeprefix(f'{TEXT}:'))}"
    path = pathlib.Path(encoder.rstrip("/"))
    if path.is_dir():
        # "." has a name too.
        path = path.resolve()
    # A run's student lies in RUN/student; the run is the telling name.
    name = path.parent.name if path.name == "student" else path.name
    return name.replace(":", "-")


def with_defaults(told):
    """A configuration that was kept, with the fields that came since at their defaults.

    Args:
        told: dict, as `experiments.results.plain` gives it.

    Returns:
        Dict.
    """
    return {**plain(Understanding(told["task"])), **told}


def configurations():
    """The three tasks, as the command line offers them.

    Returns:
        Dict from task to `(description, Understanding)`.
    """
    told = {
        "ic": "intent classification (Fluent Speech Commands): action, object, location",
        "sf": "slot filling (Audio SNIPS): words and slots by CTC",
        "er": "emotion recognition (IEMOCAP): five folds",
    }
    return {task: (text, Understanding(task)) for task, text in told.items()}
