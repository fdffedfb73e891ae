"""An experiment in understanding, from a configuration to a folder of results."""

import contextlib
import json
import shutil

import keras
import numpy as np

from experiments import processes
from experiments.backends import shared_among
from experiments.caches import announced_cache
from experiments.results import corpus_hash, plain, versions, write_json
from experiments.statistics import mean_interval
from experiments.understanding.configuration import LOG_MEL, Understanding, with_defaults
from experiments.understanding.corpora import describe, read_splits
from experiments.understanding.head import HEADS, HeadRun
from experiments.understanding.log_mel import LogMelEncoder
from experiments.understanding.tasks import task_of
from experiments.understanding.text_encoder import TextEncoder
from pad_keras import export_saved_model, models
from pad_keras.data.fingerprints import text_hash, weights_hash
from pad_keras.models.reading import read_json, reading

# What may change when an experiment goes on: fields that add heads, or change no number.
_FREE = ("learning_rates", "seeds", "folds", *Understanding.FREE)
_CONFIGURATION = "configuration.json"
# How the folders of hidden states are called, by what they keep.
_POOLED, _FRAMES = "pooled", "frames"


class DivergedError(ValueError):
    """The loss of a head was no number at any of the learning rates."""


def understand(settings, encoder=None):
    """Train and test the heads of an experiment, or go on with it where it was killed.

    Writes, into `settings.folder`: `configuration.json`; `results.json`; `heads`, a folder each
    with the best weights, the history and the test's answers; and `tensorboard`. The encoder's
    hidden states, computed once, go into `hidden_states` beside it, where other experiments on the
    same encoder find them.

    Args:
        settings: `experiments.understanding.configuration.Understanding`.
        encoder: as `load_encoder` gives it, which is what is taken by default; not with `devices`,
            which it would have to be made for.

    Returns:
        Dict, the contents of `results.json`.

    Raises:
        ValueError: if the folder holds an experiment of another configuration, encoder or corpus,
            if test speakers are trained on, if a text encoder meets an utterance without a
            transcript, if there are fewer devices than asked for, or if they cannot share
            batches or an `encoder`.
        DivergedError: if at each learning rate a head diverged.
        FileExistsError: if something other than a SavedModel is at `settings.export`.
        pad_keras.data.BadInputError: if a file is broken, naming it.
        experiments.locks.BusyError: if another process works in the folder.

    Example:

    ```python
    results = understand(Understanding("ic", encoder="runs/pad-slocal/student", seeds=(0, 1, 2)))
    results["test"]["all"]["exact_match"]["mean"]
    ```
    """
    if encoder is not None and settings.devices > 1:
        raise ValueError(
            f"`devices` is {settings.devices}, and `encoder` was made for one; save it as a preset "
            "and name that in the settings."
        )
    with (
        processes.written_by_the_first(settings.folder, kept=(HEADS,)) as folder,
        _policy(settings.precision),
        shared_among(settings.devices),
    ):
        _check_export(settings)
        folds = read_splits(settings)
        tasks = {fold: task_of(settings, splits) for fold, splits in folds.items()}
        for fold, splits in folds.items():
            # A label that training does not know is found now, not when the test set is measured.
            for utterances in (splits.train, splits.valid, splits.test):
                tasks[fold].targets(utterances)
        encoder = encoder or load_encoder(settings)
        if isinstance(encoder, TextEncoder):
            encoder.check(_utterances(folds))
        encoder_hash = weights_hash(encoder)
        corpus = _check_folder(settings, folder, encoder_hash, folds)
        for fold, splits in folds.items():
            print(f"{settings.root}{'' if fold is None else f', fold {fold}'}\n{describe(splits)}")
        if processes.count() > 1:
            # Another process may find them done and would not compute along.
            with processes.each_alone():
                _hidden_states(settings, load_encoder(settings), encoder_hash, folds, tasks)
        cache = _hidden_states(settings, encoder, encoder_hash, folds, tasks)
        initial_weights = encoder.get_weights() if settings.fine_tune else None
        runs = [
            HeadRun(
                settings,
                folder,
                job,
                tasks[job.fold],
                folds[job.fold],
                encoder,
                cache,
                initial_weights,
            )
            for job in settings.jobs()
        ]
        return _results(settings, folder, runs, corpus)


def load_encoder(settings):
    """The encoder of an experiment.

    Args:
        settings: `Understanding`.

    Returns:
        `Wav2Vec2Backbone`, or one of the references, `LogMelEncoder` and `TextEncoder`.
    """
    if settings.encoder == LOG_MEL:
        return LogMelEncoder()
    if settings.text_preset is not None:
        teacher = models.TextTeacher.from_preset(settings.text_preset, dtype=settings.precision)
        return TextEncoder(teacher)
    # A size without weights must be the same encoder for every head and in every process.
    keras.utils.set_random_seed(0)
    return models.Wav2Vec2Backbone.from_preset(
        settings.encoder,
        dtype=settings.precision,
        gradient_checkpointing=settings.gradient_checkpointing,
        normalize_hidden_states=settings.normalize_states,
    )


def _hidden_states(settings, encoder, encoder_hash, folds, tasks):
    """The cache of all utterances of an experiment, or `None`."""
    if settings.fine_tune or not settings.cache:
        return None
    utterances = _utterances(folds)
    pooled = next(iter(tasks.values())).pooled
    normalized = "-normalized" if settings.normalize_states else ""
    kind = f"{_POOLED if pooled else _FRAMES}-{settings.precision}{normalized}"
    folder = settings.out / "hidden_states" / f"{encoder_hash[:12]}-{kind}"
    return announced_cache(
        "hidden states",
        encoder,
        utterances,
        folder,
        instead="--no-cache to run the encoder in each step",
        pooled=pooled,
    )


def remove_frames(settings):
    """Remove the frames that an experiment's encoder left; means over frames stay.

    Args:
        settings: `Understanding`, of an experiment that was run.
    """
    described = read_json(settings.folder / _CONFIGURATION)
    prefix = described["encoder"]["weights"][:12]
    for folder in (settings.out / "hidden_states").glob(f"{prefix}-{_FRAMES}-*"):
        if folder.is_dir():
            shutil.rmtree(folder)


def _utterances(folds):
    """Each utterance of an experiment once."""
    return list({u.id: u for splits in folds.values() for u in splits.all()}.values())


def _results(settings, folder, runs, corpus):
    """Train all, choose the learning rate on valid, test that one."""
    trained = {}
    for index, run in enumerate(runs):
        print(f"head {index + 1} of {len(runs)}: {run.job.name}")
        trained[run] = run.train()
    by_rate = {}
    for run in runs:
        by_rate.setdefault(run.job.learning_rate, []).append(trained[run]["best"])
    # A learning rate at which a head diverged from the start is no choice.
    best = {rate: float(np.mean(v)) for rate, v in by_rate.items() if None not in v}
    if not best:
        raise DivergedError(f"Heads diverged at each of {list(by_rate)}; lower --learning-rates.")
    chosen = max(best, key=best.get)
    tested = [run for run in runs if run.job.learning_rate == chosen]
    tests = {run: run.test() for run in tested}
    if settings.export is not None and processes.share()[0] == 0:
        export_saved_model(tested[0].best_model(), settings.export, overwrite=True)
    results = {
        "configuration": settings,
        "recipe": settings.resolved_recipe,
        "versions": versions(),
        "corpus": corpus,
        "utterances": {
            run.job.fold or "all": {
                "train": trained[run]["utterances"],
                "valid": len(run.splits.valid),
                "test": len(run.splits.test),
            }
            for run in tested
        },
        "valid": {f"{rate:g}": value for rate, value in best.items()},
        "learning_rate": chosen,
        "test": _test_table(tests),
        "chance": _mean_scores(
            [run.task.chance(run.splits.train, run.splits.test) for run in tested]
        ),
        "heads": {run.job.name: {**trained[run], "test": tests.get(run)} for run in runs},
    }
    write_json(folder / "results.json", results)
    return plain(results)


def _test_table(tests):
    """Mean and interval over seeds of each measure of each part; folds are averaged first."""
    by_seed = {}
    for run, scores in tests.items():
        by_seed.setdefault(run.job.seed, []).append(scores)
    table = {}
    for part, measures in next(iter(tests.values())).items():
        table[part] = {}
        for measure in measures:
            values = [
                float(np.mean([fold[part][measure] for fold in folds if part in fold]))
                for folds in by_seed.values()
            ]
            mean, interval = mean_interval(values)
            table[part][measure] = {"mean": mean, "interval": interval, "seeds": values}
    return table


def _mean_scores(scores):
    return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def _check_export(settings):
    """Refuse to replace what is no SavedModel, and what fails, before anything is computed."""
    path = settings.export
    if path is not None and settings.encoder == LOG_MEL and keras.backend.backend() != "tensorflow":
        # The process that exports for other backends knows the models of pad_keras alone.
        raise ValueError(
            f"`export` {str(path)!r} with encoder {LOG_MEL!r} works with KERAS_BACKEND=tensorflow, "
            f"not {keras.backend.backend()}; leave it out, or take TensorFlow."
        )
    if path is not None and path.exists() and not (path / "saved_model.pb").is_file():
        raise FileExistsError(
            f"`export` {str(path)!r} is no SavedModel and would be replaced; give another path."
        )


def _check_folder(settings, folder, encoder_hash, folds):
    """Refuse a folder of another experiment, write what this one is; the corpus' hashes by fold."""
    path = folder / _CONFIGURATION
    now = {
        "configuration": plain(settings),
        "recipe": plain(settings.resolved_recipe),
        "encoder": {"weights": encoder_hash},
        "corpus": {
            f"fold {fold}": corpus_hash([*splits.train, *splits.valid, *splits.test])
            for fold, splits in folds.items()
        },
        "splits": {
            f"splits of fold {fold}": _splits_hash(splits) for fold, splits in folds.items()
        },
    }
    if path.is_file():
        was = read_json(path)
        with reading(path):
            was["configuration"] = with_defaults(was["configuration"])
            was = {group: dict(values) for group, values in was.items()}
        differing = [
            f"{name}: {was[group].get(name)!r} -> {value!r}"
            for group in now
            for name, value in now[group].items()
            # Experiments from before there was a group lack it.
            if name not in _FREE and was.get(group, {}).get(name, value) != value
        ]
        if differing:
            raise ValueError(
                f"{settings.folder} holds an experiment of another configuration "
                f"({', '.join(differing)}). Give another --name, or remove the folder."
            )
        # Folds that are left out now were there before.
        for group in ("corpus", "splits"):
            now[group] = {**was.get(group, {}), **now[group]}
    write_json(path, now)
    return now["corpus"]


def _splits_hash(splits):
    """Hash of which utterance is in which split."""
    ids = {name: [u.id for u in getattr(splits, name)] for name in ("train", "valid", "test")}
    return text_hash(json.dumps(ids))


@contextlib.contextmanager
def _policy(name):
    """Heads are made under the global dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
