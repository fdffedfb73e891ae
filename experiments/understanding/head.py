"""Training and testing one head."""

import math
import shutil

import keras

from experiments import processes
from experiments.backends import check_shareable, resolve_jit, steps_at_once
from experiments.memory import check_memory
from experiments.results import plain, write_json
from experiments.understanding.best_head import BestHead
from experiments.understanding.summaries import ValidationAnswers, write_hyperparameters
from experiments.understanding.tasks import scores_by_part
from pad_keras import callbacks, data, models
from pad_keras.files import write_atomically
from pad_keras.models.reading import read_json

# Few padded lengths: each costs a compilation, and a head's padding costs little.
_BUCKETS = 4
_LINE_PER_EPOCH, _BAR = 2, 1
# The heads' folder within that of an experiment.
HEADS = "heads"
_LONG_EPOCH = 500


class HeadRun:
    """One head of an experiment: its folder, its training, its test.

    Args:
        settings: `Understanding`.
        folder: path of the experiment; its own is within.
        job: `Job`.
        task: `Classification` or `SlotFilling`.
        splits: `Splits`.
        encoder: `Wav2Vec2Backbone`, which all heads share.
        cache: `HiddenStateCache`, or `None` to run the encoder in each step.
        initial_weights: list of arrays, the encoder's weights before any fine-tuning; not needed
            for a frozen one.
    """

    def __init__(self, settings, folder, job, task, splits, encoder, cache, initial_weights=None):
        self.settings = settings
        self.folder = folder / HEADS / job.name
        self._log_dir = folder / "tensorboard" / job.name
        self.job = job
        self.task = task
        self.splits = splits
        self.encoder = encoder
        self.cache = cache
        self.initial_weights = initial_weights
        self.recipe = settings.resolved_recipe

    def train(self):
        """Train, from the start or from the newest checkpoint, unless that is done.

        Returns:
            Dict: `best` measure on the validation set (`None` if the loss was never a number), its
            `epoch`, the `history` of logs and the number of training `utterances`.
        """
        done = self.folder / "training.json"
        if done.is_file():
            return read_json(done)
        keras.utils.set_random_seed(self.job.seed)
        train = data.few_shot(
            self.splits.train, self.settings.shots, self.task.classes, self.job.seed
        )
        model = self._compiled()
        valid = self._ordered(self.splits.valid)
        monitor = f"val_{self.task.monitor}"
        best = BestHead(self._weights_path, monitor)
        state = callbacks.TrainingState(
            self.folder / "state", fingerprint=plain(self.recipe), callbacks=[best]
        )
        epochs = math.ceil(self.recipe.updates / self.recipe.evaluate_every)
        start = state.restore(model)
        if start < epochs:
            self._fit(model, train, valid, start, epochs, best, state)
        result = {
            "best": best.best,
            "epoch": best.epoch,
            "utterances": len(train),
            "history": state.history,
        }
        write_hyperparameters(
            self._log_dir,
            {
                "learning_rate": self.job.learning_rate,
                "seed": self.job.seed,
                "fold": self.job.fold,
                "shots": self.settings.shots,
                "encoder": self.settings.encoder,
            },
            {} if best.best is None else {monitor: best.best},
        )
        write_json(done, result)
        # The result is safe; optimizer states of a whole sweep would fill the disk.
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        return result

    def test(self):
        """Measure the best head on the test set, unless that is done.

        Returns:
            Dict from part of the test set to dict of measures.
        """
        done = self.folder / "test.json"
        if done.is_file():
            return read_scores(done)
        utterances = self._ordered(self.splits.test)
        answers = self.task.answers(self.best_model(), self._batches(self.splits.test))
        self._write_answers(utterances, answers)
        scores = scores_by_part(self.task, answers, utterances)
        write_json(done, scores)
        return scores

    def best_model(self):
        """The head as it was best on the validation set.

        Returns:
            `UtteranceClassifier` or `SlotFiller`, compiled.
        """
        model = self._compiled()
        BestHead(self._weights_path, None).load(model)
        return model

    @property
    def _weights_path(self):
        return self.folder / "head.npz"

    def _compiled(self):
        if self.settings.fine_tune:
            # Each head starts from the encoder as it was.
            self.encoder.set_weights(self.initial_weights)
        model = self.task.build(
            self.encoder, self.recipe, self.settings.fine_tune, self.settings.layers or None
        )
        model.compile(
            models.superb_optimizer(self.job.learning_rate, self.recipe.accumulation),
            jit_compile=resolve_jit(self.settings.jit_compile),
            # Where a step runs the encoder, or recurrent layers, it is long enough by itself.
            steps_per_execution=steps_at_once(self._steps) if self._is_light else 1,
        )
        return model

    @property
    def _steps(self):
        """Steps between two evaluations."""
        return self.recipe.evaluate_every * self.recipe.accumulation

    @property
    def _is_light(self):
        """Whether a step is a small head on one mean vector a layer."""
        return self.cache is not None and self.task.pooled

    def _fit(self, model, train, valid, start, epochs, best, state):
        batch_size = self._batch_size(train)
        if self.settings.fine_tune:
            check_memory(
                self.encoder,
                [(batch_size // processes.count(), max(utterance.seconds for utterance in train))],
                checkpointing="--gradient-checkpointing",
                instead="lower --batch-size",
                has_moments=model.optimizer.built,
            )
        steps = self._steps
        batches = data.pipeline(
            train,
            batch_size,
            states=self.cache,
            targets=self.task.targets(train),
            shuffle=True,
            repeat=True,
            seed=self.job.seed,
            start_batch=start * steps,
            buckets=_BUCKETS,
        )
        seconds = data.total_hours(train) * 3600 / len(train) * batch_size
        with data.bad_input_explained():
            model.fit(
                processes.own_rows(batches),
                steps_per_epoch=steps,
                initial_epoch=start,
                epochs=epochs,
                # `pipeline` shuffles.
                shuffle=False,
                verbose=_BAR if steps >= _LONG_EPOCH else _LINE_PER_EPOCH,
                callbacks=[
                    ValidationAnswers(
                        self.task,
                        self._batches(self.splits.valid),
                        valid,
                        self._log_dir,
                        self.settings.pictures,
                    ),
                    callbacks.TrainingSummary(self._log_dir, batch_size, seconds, every=50),
                    best,
                    state,
                ],
            )

    def _batch_size(self, train):
        """The recipe's, or what a few utterances allow."""
        batch_size = min(self.recipe.batch_size, len(train))
        # Refused rather than made smaller: the head is not to depend on the number of devices.
        check_shareable(batch_size, self.settings.devices, self.settings.precision)
        return batch_size

    def _batches(self, utterances):
        """A split in a fixed order, without targets."""
        # Where the encoder need not run, padding costs less than another compilation.
        buckets = _BUCKETS if self.cache is None else 1
        return data.pipeline(utterances, self.recipe.batch_size, states=self.cache, buckets=buckets)

    def _ordered(self, utterances):
        return data.batch_order(utterances, self.recipe.batch_size)

    def _write_answers(self, utterances, answers):
        """What was said of each test utterance, for a reader: id, right, found."""
        rows = zip(
            (utterance.id for utterance in utterances),
            self.task.references(utterances),
            self.task.texts(answers),
            strict=True,
        )
        text = "".join("\t".join(row) + "\n" for row in rows)
        write_atomically(self.folder / "test.tsv", text)


def read_scores(path):
    """Scores as `HeadRun.test` wrote them; one that is no number is null there.

    Args:
        path: `pathlib.Path`.

    Returns:
        Dict from part of the test set to dict of floats.
    """
    return {
        part: {name: math.nan if score is None else score for name, score in scores.items()}
        for part, scores in read_json(path).items()
    }
