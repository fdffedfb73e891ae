"""A pretraining run, from a configuration to a folder of results."""

import math

import keras

from experiments import processes
from experiments.backends import resolve_jit, shared_among
from experiments.memory import check_memory
from experiments.optimization import encoder_optimizer
from experiments.pretraining.batches import FrontEnd, SpeechBatches, for_fit
from experiments.pretraining.clusters import (
    assign_clusters,
    fit_clusters,
    hidden_features,
    mfcc_features,
)
from experiments.pretraining.fingerprints import clusters_fingerprint, run_fingerprint
from experiments.pretraining.kept_clusters import read_clusters, write_clusters
from experiments.pretraining.recordings import find_recordings, total_hours
from experiments.results import plain, versions, write_json
from pad_keras import callbacks, models
from pad_keras.files import replaced_folder

_TINY_RECORDINGS = 24


def pretrain(configuration):
    """Run a configuration, or go on with it where a killed run stopped.

    Writes, into `configuration.folder`: `configuration.json`; for each stage a folder `stage-n`
    with `clusters.npz` and the checkpoints to resume from; `results.json`; `encoder`, the
    pretrained encoder as a preset; and, where TensorFlow is installed, `tensorboard`.

    Args:
        configuration: `experiments.pretraining.configuration.Pretraining`.

    Returns:
        Dict, the contents of `results.json`.

    Raises:
        ValueError: if the folder holds a run of another configuration, if there are fewer devices
            or hidden states than asked for, or naming broken audio.
        FileNotFoundError: if a folder is missing or holds no audio.
        experiments.locks.BusyError: if another process works in the folder.

    Example:

    ```python
    results = pretrain(Pretraining(audio=("recordings",), valid=("others",)))
    ```
    """
    stages = [stage.name for stage in configuration.resolved().stages()]
    with (
        processes.written_by_the_first(configuration.folder, kept=stages) as folder,
        shared_among(configuration.devices),
    ):
        return _pretrain(configuration, folder)


def _pretrain(configuration, folder):
    configuration = configuration.resolved()
    keras.utils.set_random_seed(configuration.seed)
    corpora = {name: find_recordings(getattr(configuration, name)) for name in ("audio", "valid")}
    if configuration.tiny:
        corpora = {name: found[:_TINY_RECORDINGS] for name, found in corpora.items()}
    for name, recordings in corpora.items():
        print(f"{name}: {len(recordings)} recordings, {total_hours(recordings):.2f} hours")
    backbone = build_backbone(configuration)
    _check_layers(configuration, backbone)
    histories = []
    for stage in configuration.stages():
        print(f"stage {stage.index + 1} of {len(configuration.stages())}")
        clusters = stage_clusters(configuration, folder, stage, corpora, backbone)
        histories.append(fit_stage(configuration, folder, stage, corpora, clusters, backbone))
    save_encoder(backbone, folder / "encoder")
    results = {
        "configuration": configuration,
        "versions": versions(),
        "hours": {name: total_hours(recordings) for name, recordings in corpora.items()},
        "parameters": backbone.count_params(),
        "history": histories,
    }
    write_json(folder / "results.json", results)
    return plain(results)


def build_backbone(configuration):
    """The encoder to pretrain.

    Args:
        configuration: `Pretraining`.

    Returns:
        `Wav2Vec2Backbone` that masks frames in training.
    """
    return models.Wav2Vec2Backbone.from_preset(
        configuration.student,
        dtype=configuration.precision,
        gradient_checkpointing=configuration.gradient_checkpointing,
        mask_time_prob=configuration.mask_time_prob,
        mask_time_length=configuration.mask_time_length,
        hidden_dropout=configuration.dropout,
        attention_dropout=configuration.dropout,
    )


def _check_layers(configuration, backbone):
    """Refuse to cluster a hidden state that the encoder lacks, before a stage is trained for it."""
    states = backbone.num_layers + 1
    layers = [stage.layer for stage in configuration.stages() if stage.layer is not None]
    if not all(-states <= layer < states for layer in layers):
        raise ValueError(
            f"`layers` must be of the encoder's {states} hidden states, {-states} to {states - 1}, "
            f"got {configuration.layers}."
        )


def stage_clusters(configuration, folder, stage, corpora, backbone):
    """Clusters of every frame, computed once and kept.

    Args:
        configuration: `Pretraining`.
        folder: path of the run.
        stage: `Stage`.
        corpora: dict from `"audio"` and `"valid"` to lists of `Recording`.
        backbone: `Wav2Vec2Backbone`, as the stage before left it.

    Returns:
        Dict from name of a corpus to a list of `[frames]` arrays; `None` each if the objective
        has no clusters.

    Raises:
        ValueError: if the folder holds clusters of other audio or of another configuration.
    """
    if not stage.num_clusters:
        return dict.fromkeys(corpora)
    path = folder / stage.name / "clusters.npz"
    fingerprint = clusters_fingerprint(configuration, corpora, stage, front_end_of(backbone))
    kept = read_clusters(path, fingerprint, corpora)
    if kept is None:
        centres, kept = _cluster(configuration, stage, corpora, backbone)
        write_clusters(path, fingerprint, centres, kept)
    return kept


def _cluster(configuration, stage, corpora, backbone):
    """Centres, and the nearest one of every frame of each corpus."""
    encoder = None if stage.layer is None else _alone(configuration, backbone)

    def features(recordings):
        if stage.layer is None:
            return mfcc_features(recordings, front_end_of(backbone))
        return hidden_features(recordings, encoder, stage.layer)

    audio = corpora["audio"]
    print(f"{stage.num_clusters} clusters of {'MFCC' if stage.layer is None else 'hidden states'}")
    centres = fit_clusters(features(audio), len(audio), stage.num_clusters, seed=configuration.seed)
    return centres, {
        name: assign_clusters(features(recordings), centres, len(recordings))
        for name, recordings in corpora.items()
    }


def _alone(configuration, backbone):
    """A backbone that computes without other processes: one that may not need it does not wait."""
    if processes.count() == 1:
        return backbone
    with processes.each_alone():
        copy = build_backbone(configuration)
        copy.set_weights(backbone.get_weights())
    return copy


def front_end_of(backbone):
    """Which samples the frames of a backbone see.

    Args:
        backbone: `Wav2Vec2Backbone`.

    Returns:
        `FrontEnd`.
    """
    return FrontEnd(backbone.conv_kernels, backbone.conv_strides)


def fit_stage(configuration, folder, stage, corpora, clusters, backbone):
    """Train a stage, from its start or from the newest checkpoint.

    Args:
        configuration: `Pretraining`.
        folder: path of the run.
        stage: `Stage`.
        corpora: dict of lists of `Recording`.
        clusters: dict, as `stage_clusters` gives it.
        backbone: `Wav2Vec2Backbone`; it is trained in place.

    Returns:
        List of dicts, the logs of all epochs.
    """
    # A stage begins alike whether the one before was trained in this process or another.
    keras.utils.set_random_seed(configuration.seed + stage.index)
    model = build_model(configuration, stage, backbone)
    compile_model(model, configuration, stage.steps)
    steps = min(configuration.steps_per_epoch, stage.steps)
    epochs = math.ceil(stage.steps / steps)
    state = callbacks.TrainingState(
        folder / stage.name / "state", fingerprint=run_fingerprint(configuration, corpora)
    )
    start = state.restore(model)
    write_json(folder / "configuration.json", {**plain(configuration), "versions": versions()})
    if start:
        print(f"going on in {folder}: {start} of {epochs} epochs are done")
    if start >= epochs:
        return state.history
    shared = {
        "front_end": front_end_of(backbone),
        "batch_seconds": configuration.batch_seconds,
        "max_seconds": configuration.max_seconds,
        "seed": configuration.seed + stage.index,
    }
    train = SpeechBatches(
        corpora["audio"],
        steps=steps,
        clusters=clusters["audio"],
        augmentation=configuration.augmentation if configuration.augment else None,
        first_epoch=start,
        multiple_of=configuration.devices,
        share=processes.share(),
        workers=2,
        **shared,
    )
    check_memory(
        backbone,
        {(count // processes.count(), seconds) for count, seconds in train.shapes()},
        checkpointing="--gradient-checkpointing",
        instead="lower --batch-seconds",
        has_moments=model.optimizer.built,
    )
    valid = SpeechBatches(
        corpora["valid"], steps=0, clusters=clusters["valid"], goes_on=False, **shared
    )
    valid.steps = valid.batches_per_pass
    model.fit(
        for_fit(train),
        validation_data=for_fit(valid),
        validation_steps=valid.steps,
        steps_per_epoch=steps,
        initial_epoch=start,
        epochs=epochs,
        # The stream is shuffled.
        shuffle=False,
        callbacks=[*_tensorboard(configuration, folder, stage), state],
    )
    return state.history


def build_model(configuration, stage, backbone):
    """The pretraining model of a stage.

    Args:
        configuration: `Pretraining`.
        stage: `Stage`.
        backbone: `Wav2Vec2Backbone`.

    Returns:
        `keras.Model`, not compiled.
    """
    if configuration.objective == "hubert":
        return models.MaskedPredictionModel(
            backbone, stage.num_clusters, unmasked_weight=configuration.unmasked_weight
        )
    return models.ContrastiveModel(backbone, diversity_weight=configuration.diversity_weight)


def compile_model(model, configuration, steps):
    """Give a model its optimizer.

    Args:
        model: `keras.Model`.
        configuration: `Pretraining`.
        steps: int, updates in all.
    """
    warmup = min(steps - 1, math.ceil(configuration.warmup_share * steps))
    optimizer = encoder_optimizer(configuration, warmup, steps, beta_2=0.98)
    model.compile(optimizer=optimizer, jit_compile=resolve_jit(configuration.jit_compile))


def save_encoder(backbone, folder):
    """Write an encoder as a preset that masks nothing by itself.

    Args:
        backbone: `Wav2Vec2Backbone`.
        folder: path; what is there is replaced.
    """
    config = {
        **backbone.get_config(),
        "mask_time_prob": 0.0,
        "dtype": "float32",
        "gradient_checkpointing": False,
    }
    encoder = models.Wav2Vec2Backbone.from_config(config)
    encoder.set_weights(backbone.get_weights())
    with replaced_folder(folder) as partial:
        encoder.save_to_preset(str(partial))


def _tensorboard(configuration, folder, stage):
    """Scalars for TensorBoard, where TensorFlow, which writes them, is installed."""
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        return []
    summary = callbacks.TrainingSummary(
        folder / "tensorboard" / stage.name, 1, configuration.batch_seconds
    )
    return [summary]
