"""A distillation run, from a configuration to a folder of results."""

import dataclasses
import math

import keras

from experiments.backends import resolve_jit
from experiments.optimization import encoder_optimizer
from experiments.results import plain, versions, write_json
from pad_keras import callbacks, data, models


@dataclasses.dataclass
class Split:
    """A part of a corpus that is measured: utterances in the order of their batches."""

    utterances: list
    batches: object


def distill(configuration):
    """Run a configuration, or go on with it where a killed run stopped.

    Writes, into `configuration.folder`: `configuration.json`; `results.json`; `student`, the best
    epoch's encoder as a preset; `alignment.png`, what it aligned; `tensorboard`; `teacher_units`,
    the teacher's cached units; and `state`, the checkpoints to resume from.

    Args:
        configuration: `experiments.distillation.configuration.Configuration`.

    Returns:
        Dict, the contents of `results.json`.

    Raises:
        ValueError: if the folder holds a run of another configuration, or splits share speakers.
        pad_keras.data.BadInputError: if a file is broken, naming it.

    Example:

    ```python
    results = distill(Configuration(name="mine", tiny=True))
    ```
    """
    folder = configuration.folder
    configuration = configuration.resolved()
    keras.utils.set_random_seed(configuration.training.seed)
    corpora = read_corpora(configuration.data)
    for name, utterances in corpora.items():
        speakers = len({utterance.speaker for utterance in utterances})
        padding = data.padding_share(
            utterances, configuration.training.batch_size, shuffle=name == "train"
        )
        print(
            f"{name}: {len(utterances)} utterances of {speakers} speakers, "
            f"{data.total_hours(utterances) * 60:.1f} minutes, {padding:.0%} padding"
        )
    teacher = build_teacher(configuration, corpora["train"])
    distiller = build_distiller(configuration, teacher)
    print("units of the teacher:")
    caches = {
        name: data.TeacherCache.build(teacher, utterances, folder / "teacher_units" / name)
        for name, utterances in corpora.items()
    }
    batch_size = configuration.training.batch_size
    measured = {
        name: Split(
            data.batch_order(utterances, batch_size),
            data.pipeline(utterances, batch_size, text=caches[name]),
        )
        for name, utterances in corpora.items()
        if name != "train"
    }
    with data.bad_input_explained():
        best, history = fit(
            configuration, folder, distiller, corpora["train"], caches["train"], measured["valid"]
        )
    best.load(distiller)
    if configuration.pictures:
        pictures = _pictures(configuration, measured["valid"], teacher.tokenizer, folder)
        _, picture = next(pictures.pictures(distiller))
        keras.utils.save_img(folder / "alignment.png", picture, scale=False)
    results = {
        "configuration": configuration,
        "versions": versions(),
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


def read_corpora(settings):
    """Read the splits of the corpus and check that they share no speaker.

    Args:
        settings: `Data`.

    Returns:
        Dict from split to list of `Utterance`.

    Raises:
        ValueError: if valid or test has a speaker of train.
    """
    corpora = {}
    for name in ("train", "valid", "test"):
        subsets = getattr(settings, name)
        if name == "test" and not subsets:
            continue
        utterances = data.librispeech(
            settings.root,
            settings.hours if name == "train" else settings.evaluation_hours,
            seed=settings.seed,
            subsets=subsets,
            on_error=settings.on_error,
        )
        if settings.on_error == "skip":
            utterances = data.decodable(utterances)
        corpora[name] = data.within_seconds(utterances, settings.max_seconds)
    data.check_disjoint_speakers(**corpora)
    return corpora


def build_teacher(configuration, train):
    """The frozen teacher of a configuration.

    Args:
        configuration: `Configuration`.
        train: list of `Utterance`, whose transcripts `weighting="idf"` and `centring="corpus"`
            learn from.

    Returns:
        `TextTeacher`, in float32 whatever the student's precision.
    """
    settings = configuration.teacher
    teacher = models.TextTeacher.from_preset(
        settings.preset,
        text_units=settings.text_units,
        layer=settings.layer,
        significance_layers=settings.significance_layers,
        centring=settings.centring,
        dtype="float32",
    )
    transcripts = [utterance.text for utterance in train]
    if configuration.objective.weighting == "idf":
        teacher.adapt_idf(transcripts)
    if settings.centring == "corpus":
        teacher.adapt_mean(transcripts)
    return teacher


def build_distiller(configuration, teacher):
    """Student, losses and, if the widths differ, the projection between.

    Args:
        configuration: `Configuration`.
        teacher: `TextTeacher`.

    Returns:
        `AlignmentDistiller`, not compiled.
    """
    settings = dataclasses.asdict(configuration.student)
    preset = settings.pop("preset")
    changes = {name: value for name, value in settings.items() if value is not None}
    student = models.Wav2Vec2Backbone.from_preset(
        preset, dtype=configuration.training.precision, **changes
    )
    return models.AlignmentDistiller(
        teacher=teacher,
        student=student,
        distillation_losses=configuration.objective.build(),
        distillation_loss_weights=list(configuration.objective.weights),
    )


def compile_distiller(distiller, training, steps_per_epoch):
    """Give a distiller its optimizer.

    Args:
        distiller: `AlignmentDistiller`.
        training: `Training`.
        steps_per_epoch: int.
    """
    updates = max(2, steps_per_epoch * training.epochs // training.accumulation)
    optimizer = encoder_optimizer(
        training,
        math.ceil(training.warmup_share * updates),
        updates,
        gradient_accumulation_steps=training.accumulation if training.accumulation > 1 else None,
    )
    distiller.compile(optimizer=optimizer, jit_compile=resolve_jit(training.jit_compile))


def fit(configuration, folder, distiller, train, cache, valid):
    """Train, from the start or from the newest checkpoint.

    Args:
        configuration: `Configuration`.
        folder: path of the run.
        distiller: `AlignmentDistiller`.
        train: list of `Utterance`.
        cache: `TeacherCache` of `train`.
        valid: `Split`.

    Returns:
        Tuple `(best, history)`: the `BestStudent`, and the logs of all epochs behind the measures
        of the untrained state (epoch -1).
    """
    training, tokenizer = configuration.training, distiller.teacher.tokenizer
    steps = data.batches_per_epoch(train, training.batch_size)
    compile_distiller(distiller, training, steps)
    untrained = UntrainedMeasures(valid)
    evaluation = callbacks.AlignmentEvaluation(valid.batches, valid.utterances, tokenizer)
    best = callbacks.BestStudent(folder / "student")
    state = callbacks.TrainingState(
        folder / "state", fingerprint=_fingerprint(configuration), callbacks=[best, untrained]
    )
    start = state.restore(distiller)
    # Beside the results from the start, but not before the state has accepted it.
    write_json(folder / "configuration.json", {**plain(configuration), "versions": versions()})
    if start:
        print(f"going on in {folder}: {start} of {training.epochs} epochs are done")
    if start < training.epochs:
        batches = data.pipeline(
            train,
            training.batch_size,
            text=cache,
            shuffle=True,
            repeat=True,
            seed=training.seed,
            start_batch=start * steps,
        )
        distiller.fit(
            batches,
            validation_data=valid.batches,
            steps_per_epoch=steps,
            initial_epoch=start,
            epochs=training.epochs,
            # `pipeline` shuffles.
            shuffle=False,
            callbacks=[
                untrained,
                evaluation,
                *_tensorboard(configuration, folder, train, valid, tokenizer),
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
    batch = next(iter(valid.batches.skip(middle)))
    shown = valid.utterances[middle * batch_size :]
    return callbacks.AlignmentSummary(log_dir, batch, shown, tokenizer, configuration.pictures)


def measure(distiller, split):
    """Loss and alignment measures of a split.

    Args:
        distiller: `AlignmentDistiller`, compiled.
        split: `Split`.

    Returns:
        Dict of floats.
    """
    evaluation = callbacks.AlignmentEvaluation(
        split.batches, split.utterances, distiller.teacher.tokenizer
    )
    losses = distiller.evaluate(split.batches, verbose=0, return_dict=True)
    return {name: float(v) for name, v in {**losses, **evaluation.evaluate(distiller)}.items()}


class UntrainedMeasures(keras.callbacks.Callback):
    """Measures the student before its first step; a resumed run keeps what the first one saw.

    Args:
        split: `Split`, the validation set.
    """

    def __init__(self, split):
        super().__init__()
        self.split = split
        self.measures = {}

    def on_train_begin(self, logs=None):
        """Measure once."""
        if not self.measures:
            measured = measure(self.model, self.split)
            self.measures = {f"val_{name}": value for name, value in measured.items()}

    def get_state(self):
        """What a checkpoint keeps."""
        return self.measures

    def set_state(self, state):
        """Take back what a checkpoint kept."""
        self.measures = state


def _fingerprint(configuration):
    """What must not change when a run goes on; where it lies and what it shows may."""
    kept = plain(configuration)
    for name in ("name", "out", "pictures", "tiny"):
        del kept[name]
    del kept["training"]["jit_compile"]
    return kept
