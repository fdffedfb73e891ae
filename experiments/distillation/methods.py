"""The named methods of distillation: PAD, its baselines, what goes beyond it, ablations."""

from experiments.distillation.configuration import Configuration, Objective

_UNIFORM, _IDF = {"weighting": "uniform"}, {"weighting": "idf"}

# name: (what it is, objective)
METHODS = {
    "pad-glob": ("PAD-Glob: pooled units, L1", Objective(("global",))),
    "pad-tlocal": ("PAD-TLocal: each token and its best frame", Objective(("token",))),
    "pad-slocal": ("PAD-SLocal: each token and its best adaptive span", Objective(("span",))),
    "joint": (
        "PAD-Glob and PAD-SLocal together; the global term a hundredth, being a sum over "
        "dimensions",
        Objective(("global", "span"), (0.01, 1.0)),
    ),
    "mean-l1": (
        "baseline: mean-pooled units, L1 (PAD-Glob without the prior)",
        Objective(("global",), **_UNIFORM),
    ),
    "mean-l2": (
        "baseline: mean-pooled units, squared L2",
        Objective(("global",), distance="l2", **_UNIFORM),
    ),
    "splat-seq": (
        "baseline: first frame and [CLS], squared L2",
        Objective(("sequence",), **_UNIFORM),
    ),
    "splat-tok": ("baseline: token alignment weighted by idf", Objective(("token",), **_IDF)),
    "sentence-cosine": (
        "baseline: cosine of mean-pooled units (SAMU-XLSR)",
        Objective(("global",), distance="cosine", **_UNIFORM),
    ),
    "token-cosine": (
        "baseline: token alignment without the prior",
        Objective(("token",), **_UNIFORM),
    ),
    "contrastive": (
        "beyond the paper: pooled units, told from those of the batch's other utterances",
        Objective(("contrastive",)),
    ),
    "contrastive-span": (
        "beyond the paper: PAD-SLocal, told from the batch's other utterances",
        Objective(("contrastive-span",)),
    ),
    "pad-slocal-soft": (
        "beyond the paper: PAD-SLocal with a soft maximum",
        Objective(("span",), softness=0.1),
    ),
    "pad-slocal-centred": (
        "beyond the paper: PAD-SLocal on units without their utterance's mean",
        Objective(("span",), centre_units=True),
    ),
    "joint-centred": (
        "beyond the paper: joint, the local term on units without their utterance's mean",
        Objective(("global", "span"), (0.01, 1.0), centre_units=True),
    ),
    "joint-contrastive": (
        "beyond the paper: PAD-SLocal and, a tenth, pooled units told from other utterances'",
        Objective(("span", "contrastive"), (1.0, 0.1)),
    ),
    "pad-slocal-no-prior": (
        "ablation: PAD-SLocal, text units weighted alike",
        Objective(("span",), **_UNIFORM),
    ),
    "pad-slocal-one-scale": (
        "ablation: PAD-SLocal, spans of one width",
        Objective(("span",), scales=(1.0,)),
    ),
    "pad-slocal-even": (
        "ablation: PAD-SLocal, anchors at an even stride",
        Objective(("span",), anchor_selection="even"),
    ),
}


def configurations():
    """The named configurations, as the command line offers them.

    Returns:
        Dict from name to `(description, Configuration)`.
    """
    return {
        name: (description, Configuration(name=name, objective=objective))
        for name, (description, objective) in METHODS.items()
    }
