"""The grid of a comparison: its jobs in order, which are done, and which learning rate won."""

import dataclasses

from experiments.comparison.configuration import FLOOR, TOPLINE, UNDISTILLED
from experiments.comparison.jobs import Distillation, HeadsOfTask
from experiments.distillation.configuration import Teacher

CRITERIA = {
    "ic": "accuracy of intent heads on valid, mean over their seeds, best of their learning rates",
    "retrieval": "mean of recall@1 and recall@10 of text-to-speech retrieval on valid",
}


@dataclasses.dataclass(frozen=True)
class Encoder:
    """An encoder that heads are trained on.

    Args:
        name: str, the row of the table: a variant, or a reference.
        key: str, names the folders of its heads.
        source: str, as `Understanding` takes it.
        seed: int, of the distillation; `None` of what is not distilled.
    """

    name: str
    key: str
    source: str
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class Unit:
    """Jobs that build on each other, for one process at a time.

    Args:
        name: str, an encoder that is not distilled, or a variant and a seed.
        encoder: `Encoder`, if it is not distilled.
        variant: str, name of the variant otherwise.
        seed: int, of the distillation otherwise.
    """

    name: str
    encoder: Encoder | None = None
    variant: str | None = None
    seed: int | None = None


class Grid:
    """The jobs of a comparison, in order.

    First come the encoders that are not distilled, then everything of the first distillation seed,
    the search of learning rates included, then the next seed: wherever it stops, the table is
    whole, on fewer seeds.

    Args:
        comparison: `Comparison`.

    Attributes:
        comparison: `Comparison`, in the form that is run.

    Example:

    ```python
    grid = Grid(Table1(methods=("mean-l1", "pad-glob")))
    todo = [job for job in grid.jobs() if grid.result(job) is None]
    ```
    """

    def __init__(self, comparison):
        self.comparison = comparison.resolved()
        self.variants = {variant.name: variant for variant in self.comparison.variants()}
        self._results = {}

    def result(self, job):
        """The results of a job.

        Args:
            job: `Distillation` or `HeadsOfTask`.

        Returns:
            Dict; `None` if the job is not done.
        """
        if job.folder not in self._results:
            found = job.read()
            if found is None:
                return None
            self._results[job.folder] = found
        return self._results[job.folder]

    def jobs(self):
        """All jobs.

        What depends on a search that is not finished is there too, so that jobs can be counted;
        it comes after that search.

        Returns:
            List of `Distillation` and `HeadsOfTask`.
        """
        return [job for unit in self.units() for job in self.jobs_of(unit)]

    def units(self):
        """The parts that several processes can work on side by side.

        Returns:
            List of `Unit`.
        """
        units = [Unit(encoder.name, encoder=encoder) for encoder in self.fixed_encoders()]
        return units + [
            Unit(f"{name}-seed-{seed}", variant=name, seed=seed)
            for seed in self.comparison.seeds
            for name in self.variants
        ]

    def jobs_of(self, unit):
        """The jobs of a unit.

        Args:
            unit: `Unit`.

        Returns:
            List of `Distillation` and `HeadsOfTask`.
        """
        if unit.encoder is not None:
            return self.heads(unit.encoder)
        return self._variant_jobs(unit.variant, unit.seed)

    def waits(self, unit):
        """Whether a unit's jobs are not known yet: its learning rate is still searched for.

        Args:
            unit: `Unit`.

        Returns:
            bool.
        """
        if unit.encoder is not None or unit.seed == self.comparison.seeds[0]:
            return False
        return len(self.search(unit.variant)) < len(self.comparison.learning_rates) > 1

    def lost_distillation(self, job):
        """The distillation of a student that heads need and that is not there any more.

        That is so where results were copied from another machine, and where a student was removed.
        Its results are no longer known then: another student will be measured.

        Args:
            job: `Distillation` or `HeadsOfTask`.

        Returns:
            `Distillation`; `None` if nothing is lost.
        """
        if isinstance(job, Distillation):
            return None
        for one in self.jobs():
            if isinstance(one, Distillation) and str(one.student) == job.settings.encoder:
                if one.student.is_dir():
                    return None
                self._results.pop(one.folder, None)
                (one.folder / "results.json").unlink(missing_ok=True)
                return one
        return None

    def heads(self, encoder):
        """Jobs of the heads on an encoder.

        Args:
            encoder: `Encoder`.

        Returns:
            List of `HeadsOfTask`; what the table needs first, then few shots.
        """
        wanted = [(task, None) for task in self.comparison.tasks]
        wanted += [("ic", shots) for shots in self.comparison.shots]
        return [self.heads_of(encoder, task, shots) for task, shots in wanted]

    def heads_of(self, encoder, task, shots=None):
        """The job of the heads of one task.

        Args:
            encoder: `Encoder`.
            task: `"ic"`, `"sf"` or `"er"`.
            shots: int, or `None` for all training utterances.

        Returns:
            `HeadsOfTask`.
        """
        settings = self.comparison.heads(task, encoder.source, encoder.key, shots)
        return HeadsOfTask(settings, self.comparison.keep_hidden_states)

    def fixed_encoders(self):
        """What is not distilled: the student as it was, and the references.

        Returns:
            List of `Encoder`.
        """
        undistilled = Encoder(UNDISTILLED, UNDISTILLED, str(self.comparison.undistilled))
        sources = {FLOOR: FLOOR, TOPLINE: TOPLINE}
        preset = self.comparison.teacher.preset
        if preset != Teacher().preset:
            # The topline is what the teacher makes of the right words.
            sources[TOPLINE] = f"{TOPLINE}:{preset}"
        references = self.comparison.references
        return [undistilled, *(Encoder(name, name, sources[name]) for name in references)]

    def distillation(self, name, rate, seed):
        """The job of distilling a variant.

        Args:
            name: str, of the variant.
            rate: float, learning rate.
            seed: int.

        Returns:
            `Distillation`.
        """
        return Distillation(self.comparison.distillation(self.variants[name], rate, seed))

    def distilled(self, name, rate, seed):
        """The student of a distillation.

        Args:
            name: str, of the variant.
            rate: float, learning rate.
            seed: int.

        Returns:
            `Encoder`.
        """
        job = self.distillation(name, rate, seed)
        return Encoder(name, job.configuration.name, str(job.student), seed)

    def search(self, name):
        """What the search of a variant's learning rate has found so far, on valid alone.

        Args:
            name: str, of the variant.

        Returns:
            Dict from learning rate to the value of the criterion, `None` if it diverged; of the
            learning rates that are done.
        """
        found = {}
        for rate in self.comparison.learning_rates:
            results = [self.result(job) for job in self._search_jobs(name, rate)]
            if None not in results:
                found[rate] = self._criterion(*results)
        return found

    def learning_rate(self, name):
        """The learning rate of a variant: the only one, or the winner of its search.

        Args:
            name: str, of the variant.

        Returns:
            float; `None` while the search goes on, or if every one diverged.
        """
        rates = self.comparison.learning_rates
        if not self.comparison.searches:
            return rates[0]
        found = self.search(name)
        scores = {rate: value for rate, value in found.items() if value is not None}
        return max(scores, key=scores.get) if scores and len(found) == len(rates) else None

    def _criterion(self, distillation, heads=None):
        if distillation.get("diverged"):
            return None
        if heads is not None:
            if heads.get("diverged"):
                return None
            return max(heads["valid"].values())
        history = {logs["epoch"]: logs for logs in distillation["history"]}
        best = history[distillation["best_epoch"]]
        return (best["val_recall_at_1"] + best["val_recall_at_10"]) / 2

    def _search_jobs(self, name, rate):
        """What one learning rate of a search needs."""
        seed = self.comparison.seeds[0]
        distillation = self.distillation(name, rate, seed)
        jobs = [distillation]
        if self.comparison.searches and self.comparison.select_by == "ic" and self._lives(jobs[0]):
            jobs.append(self.heads_of(self.distilled(name, rate, seed), "ic"))
        return jobs

    def _variant_jobs(self, name, seed):
        """Everything of a variant and a distillation seed; the first seed's has the search."""
        rates = self.comparison.learning_rates
        rate = self.learning_rate(name)
        if rate is None and len(self.search(name)) < len(rates):
            # Any will do to count the jobs that wait for the search.
            rate = rates[0]
        chosen = [] if rate is None else [rate]
        if seed == self.comparison.seeds[0]:
            jobs = [job for rate in rates for job in self._search_jobs(name, rate)]
        else:
            jobs = [self.distillation(name, rate, seed) for rate in chosen]
        there = {job.folder for job in jobs}
        for rate in chosen:
            if self._lives(self.distillation(name, rate, seed)):
                heads = self.heads(self.distilled(name, rate, seed))
                jobs += [job for job in heads if job.folder not in there]
        return jobs

    def _lives(self, distillation):
        """Whether a distillation has not diverged, as far as is known."""
        result = self.result(distillation)
        return result is None or not result.get("diverged")
