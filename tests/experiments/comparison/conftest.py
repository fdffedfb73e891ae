import dataclasses

import pytest

from experiments.comparison import jobs, run
from experiments.comparison.configuration import Comparison, Heads, Variant
from experiments.distillation.methods import METHODS
from experiments.results import write_json

# What the rates and methods of the stand-in below are worth.
WORTH = {"mean-l1": 0.0, "pad-glob": 0.2, 1e-4: 0.0, 1e-3: 0.1}


@dataclasses.dataclass(frozen=True)
class Two(Comparison):
    def variants(self):
        return [Variant(name, *METHODS[name]) for name in ("mean-l1", "pad-glob")]


@pytest.fixture
def done(monkeypatch):
    """Stand-ins that write results at once; the list of what they did, in order."""
    log = []

    def distill(configuration):
        log.append(configuration.name)
        method = configuration.name.split("-lr-")[0]
        rate, seed = configuration.training.learning_rate, configuration.training.seed
        for name in ("student", "state", "teacher_units"):
            (configuration.folder / name).mkdir(parents=True, exist_ok=True)
        recall = WORTH[method] + WORTH[rate] + 0.01 * seed
        measures = {"recall_at_1": recall, "recall_at_10": 2 * recall}
        measures |= {"word_overlap": 0.3 + recall, "word_overlap_chance": 0.2}
        results = {
            "configuration": configuration.resolved(),
            "history": [{"epoch": 0, **{f"val_{name}": v for name, v in measures.items()}}],
            "best_epoch": 0,
            "test": measures,
            "utterances": {"test": 80},
        }
        write_json(configuration.folder / "results.json", results)

    def understand(settings):
        log.append(settings.name)
        for kind in ("frames", "pooled"):
            folder = settings.out / "hidden_states" / f"abc-{kind}-float32"
            folder.mkdir(parents=True, exist_ok=True)
        write_json(settings.folder / "configuration.json", {"encoder": {"weights": "abc"}})
        method, _, rest = settings.name.partition("-")[2].partition("-lr-")
        fixed = 0.5 if method.startswith("text") else 0.0
        worth = WORTH[method] + WORTH[float(rest.split("-seed-")[0])] if rest else fixed
        names = ["slot_type_f1", "slot_value_cer"] if settings.task == "sf" else ["exact_match"]
        values = [worth + 0.1 + 0.001 * seed for seed in settings.seeds]
        results = {
            "configuration": settings,
            "valid": {"0.002": worth},
            "test": {"all": {name: {"seeds": values} for name in names}},
            "chance": dict.fromkeys(names, 0.05),
        }
        write_json(settings.folder / "results.json", results)

    monkeypatch.setattr(jobs, "distill", distill)
    monkeypatch.setattr(jobs, "understand", understand)
    monkeypatch.setattr(run, "save_undistilled", lambda preset, folder, adapt: None)
    # There are no models to free, and looking for them takes longer than all the rest.
    monkeypatch.setattr(jobs.keras.utils, "clear_session", lambda: None)
    return log


@pytest.fixture
def comparison(tmp_path):
    heads = Heads(seeds=(0, 1))
    return Two(
        seeds=(0, 1, 2),
        learning_rates=(1e-4, 1e-3),
        tasks=("ic", "sf"),
        ic=heads,
        sf=heads,
        shots=(2,),
        references=("text",),
        out=tmp_path,
    )
