"""A distillation run, from a configuration to a folder of results."""

import dataclasses

import keras

from experiments import processes
from experiments.backends import shared_among
from experiments.distillation.corpora import read_corpora
from experiments.distillation.measures import Split, UntrainedMeasures, measure
from experiments.distillation.parts import (
    build_distiller,
    build_teacher,
    compile_distiller,
    frame_cache,
)
from experiments.distillation.speeds import at_speeds
from experiments.memory import check_memory
from experiments.results import corpus_hash, decisive, plain, versions, write_json
from pad_keras import callbacks, data


@dataclasses.dataclass
class Train:
    """What is distilled on.

    Args:
        utterances: list of `Utterance`.
        units: `TeacherCache`.
        frames: `HiddenStateCache` of the front end's frames; `None` to read the audio.
    """

    utterances: list
    units: object
    frames: object = None


def distill(configuration):
    """Run a configuration, or go on with it where a killed run stopped.

    Writes, into `configuration.folder`: `configuration.json`; `results.json`; `student`, the best
    epoch's encoder as a preset; `alignment.png`, what it aligned; `tensorboard`; `teacher_units`,
    the teacher's cached units; and `state`, the checkpoints to resume from. The frames of a frozen
    front end go into `frames` beside it, where other runs on the same student find them.

    Args:
        configuration: `experiments.distillation.configuration.Configuration`.

    Returns:
        Dict, the contents of `results.json`.

    Raises:
        ValueError: if the folder holds a run of another configuration or corpus, if splits share
            speakers or recordings, or if there are fewer devices than asked for.
        experiments.locks.BusyError: if another process works in the folder.
        pad_keras.data.BadInputError: if a file is broken, naming it.

    Example:

    ```python
    results = distill(Configuration(name="mine", tiny=True))
    ```
    """
    with (
        processes.written_by_the_first(configuration.folder, kept=("state", "student")) as folder,
        shared_among(configuration.training.devices),
    ):
        return _distill(configuration, folder)


def _distill(configuration, folder):
    configuration = configuration.resolved()
    corpora = read_corpora(configuration.data)
    # Before there are copies, whose sizes depend on who writes them.
    hashes = {name: corpus_hash(utterances) for name, utterances in corpora.items()}
    corpora["train"] = at_speeds(
        corpora["train"], configuration.data.speeds, configuration.out / "speeds"
    )
    for name, utterances in corpora.items():
        speakers = len({utterance.speaker for utterance in utterances})
        padding = data.padding_share(
            utterances,
            configuration.training.batch_size,
            shuffle=name == "train",
            buckets=configuration.training.buckets,
        )
        print(
            f"{name}: {len(utterances)} utterances of {speakers} speakers, "
            f"{data.total_hours(utterances) * 60:.1f} minutes, {padding:.0%} padding"
        )
    if processes.count() > 1:
        # Another process may find them done and would not compute along.
        with processes.each_alone():
            _caches(configuration, folder, _models(configuration, corpora), corpora)
    distiller = _models(configuration, corpora)
    teacher = distiller.teacher
    caches, frames = _caches(configuration, folder, distiller, corpora)
    batch_size, buckets = configuration.training.batch_size, configuration.training.buckets
    measured = {
        name: Split(
            data.batch_order(utterances, batch_size),
            data.pipeline(
                utterances, batch_size, text=caches[name], states=frames, buckets=buckets
            ),
            data.pipeline(utterances, batch_size, text=caches[name], buckets=buckets),
        )
        for name, utterances in corpora.items()
        if name != "train"
    }
    train = Train(corpora["train"], caches["train"], frames)
    with data.bad_input_explained():
        best, history = fit(configuration, folder, distiller, train, measured["valid"], hashes)
    best.load(distiller)
    if configuration.pictures:
        pictures = _pictures(configuration, measured["valid"], teacher.tokenizer, folder)
        _, picture = next(pictures.pictures(distiller))
        keras.utils.save_img(folder / "alignment.png", picture, scale=False)
    results = {
        "configuration": configuration,
        "versions": versions(),
        "corpus": hashes,
        "utterances": {name: len(utterances) for name, utterances in corpora.items()},
        "history": history,
        "best_epoch": best.epoch,
        "test": None,
    }
    if "test" in measured:
        with data.bad_input_explained():
            results["test"] = measure(distiller, measured["test"])
    write_json(folder / "results.json", results)
    return plain(results)


def _models(configuration, corpora):
    keras.utils.set_random_seed(configuration.training.seed)
    return build_distiller(configuration, build_teacher(configuration, corpora["train"]))


def _caches(configuration, folder, distiller, corpora):
    """The teacher's units by split, and the frames of the student's front end; see `Train`."""
    print("units of the teacher:")
    units = {
        name: data.TeacherCache.build(
            distiller.teacher, utterances, folder / "teacher_units" / name
        )
        for name, utterances in corpora.items()
    }
    return units, frame_cache(configuration, distiller.student, corpora)


def fit(configuration, folder, distiller, train, valid, hashes):
    """Train, from the start or from the newest checkpoint.

    Args:
        configuration: `Configuration`.
        folder: path of the run.
        distiller: `AlignmentDistiller`.
        train: `Train`.
        valid: `Split`.
        hashes: dict of str, `corpus_hash` of each split: a run does not go on with another corpus.

    Returns:
        Tuple `(best, history)`: the `BestStudent`, and the logs of all epochs behind the measures
        of the untrained state (epoch -1).
    """
    training, tokenizer = configuration.training, distiller.teacher.tokenizer
    steps = data.batches_per_epoch(train.utterances, training.batch_size)
    compile_distiller(distiller, training, steps)
    untrained = UntrainedMeasures(valid)
    evaluation = callbacks.AlignmentEvaluation(valid.batches, valid.utterances, tokenizer)
    best = callbacks.BestStudent(folder / "student")
    state = callbacks.TrainingState(
        folder / "state",
        fingerprint=_fingerprint(configuration, hashes),
        callbacks=[best, untrained],
    )
    start = state.restore(distiller)
    # Beside the results from the start, but not before the state has accepted it.
    write_json(folder / "configuration.json", {**plain(configuration), "versions": versions()})
    if start:
        print(f"going on in {folder}: {start} of {training.epochs} epochs are done")
    if start < training.epochs:
        check_memory(
            distiller.student,
            [
                (
                    training.batch_size // processes.count(),
                    max(utterance.seconds for utterance in train.utterances),
                )
            ],
            checkpointing="--training.gradient-checkpointing",
            instead="lower --data.max-seconds, or halve --training.batch-size and double "
            "--training.accumulation",
            from_frames=train.frames is not None,
            has_moments=distiller.optimizer.built,
        )
        batches = data.pipeline(
            train.utterances,
            training.batch_size,
            text=train.units,
            states=train.frames,
            shuffle=True,
            repeat=True,
            seed=training.seed,
            start_batch=start * steps,
            buckets=training.buckets,
        )
        distiller.fit(
            processes.own_rows(batches),
            validation_data=valid.batches,
            steps_per_epoch=steps,
            initial_epoch=start,
            epochs=training.epochs,
            # `pipeline` shuffles.
            shuffle=False,
            callbacks=[
                untrained,
                evaluation,
                *_tensorboard(configuration, folder, train.utterances, valid, tokenizer),
                best,
                state,
            ],
        )
    return best, [{"epoch": -1, **untrained.measures}, *state.history]


def _tensorboard(configuration, folder, train, valid, tokenizer):
    """Callbacks that write scalars and pictures."""
    log_dir, batch_size = folder / "tensorboard", configuration.training.batch_size
    seconds = data.total_hours(train) * 3600 / len(train) * batch_size
    observers = [callbacks.TrainingSummary(log_dir, batch_size, seconds)]
    if configuration.pictures:
        observers.append(_pictures(configuration, valid, tokenizer, log_dir))
    return observers


def _pictures(configuration, valid, tokenizer, log_dir):
    """Callback that draws utterances of the middle batch: neither the shortest nor the longest."""
    batch_size = configuration.training.batch_size
    middle = len(valid.utterances) // batch_size // 2
    batch = next(iter(valid.waveforms.skip(middle)))
    shown = valid.utterances[middle * batch_size :]
    return callbacks.AlignmentSummary(log_dir, batch, shown, tokenizer, configuration.pictures)


def _fingerprint(configuration, hashes):
    """What must not change when a run goes on; where it lies and what it shows may."""
    told = {f"corpus.{split}": found for split, found in hashes.items()}
    return {**decisive(plain(configuration), configuration.FREE), **told}
