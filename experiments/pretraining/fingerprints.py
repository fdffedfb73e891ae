"""What must stay the same when a pretraining goes on."""

from experiments.pretraining.recordings import recordings_hash, total_hours
from experiments.results import decisive, plain


def run_fingerprint(configuration, corpora):
    """What a run depends on.

    Args:
        configuration: `Pretraining`.
        corpora: dict from `"audio"` and `"valid"` to lists of `Recording`.

    Returns:
        Dict of JSON's types.
    """
    kept = decisive(plain(configuration), configuration.FREE)
    hours = {name: total_hours(recordings) for name, recordings in corpora.items()}
    return {**kept, "hours": hours, **_corpora(configuration, corpora)}


def clusters_fingerprint(configuration, corpora, stage, front_end):
    """What the clusters of a stage depend on.

    Args:
        configuration: `Pretraining`.
        corpora: dict from `"audio"` and `"valid"` to lists of `Recording`.
        stage: `Stage`.
        front_end: `FrontEnd`.

    Returns:
        Dict of JSON's types.
    """
    if stage.layer is not None:
        # Hidden states depend on all that trained them.
        return run_fingerprint(configuration, corpora)
    # MFCC do not: their clusters serve a run that ran out of memory with smaller batches too.
    return {
        "clusters": stage.num_clusters,
        "seed": configuration.seed,
        "front end": plain(front_end),
        **_corpora(configuration, corpora),
    }


def _corpora(configuration, corpora):
    return {
        f"recordings of {name}": recordings_hash(recordings, getattr(configuration, name))
        for name, recordings in corpora.items()
    }
