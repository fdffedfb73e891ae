"""An exported SavedModel and transformers on torch: one utterance's latency, cold start, memory.

    python -m experiments.benchmarks.serving                 # wav2vec2-base; some ten minutes
    python -m experiments.benchmarks.serving --calls 10000   # and whether memory stays flat
    python -m experiments.benchmarks.serving --tiny          # try it out in a minute

The same random weights go to both, the same audio and as many threads; their outputs are compared
first. A ratio above 1 says that transformers takes longer. The SavedModel is served by TensorFlow
alone, and computes the significance prior as well. A cold start is a process of its own, from its
beginning to the first answer for a second of audio: imports, weights and all that is built on the
first call. Of `--calls`, each has another length up to the longest of `--seconds`; what the process
holds is read after the first tenth and at the end.
"""

import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Literal

import numpy as np
import tyro
from rich.progress import track

from experiments.benchmarks import encoder, measure
from experiments.command_line import explained_errors
from pad_keras import export_saved_model
from pad_keras.models.wav2vec2.transformers_config import SAMPLE_RATE

OURS, THEIRS, COLD_START = "pad_keras", "transformers", "cold start"
_BOTH, _TOLERANCE = "The SavedModel and transformers", encoder.TOLERANCES["float32"]
_SHORTEST = 0.1
_MEGABYTE = 1e6
# What a process that serves one utterance needs, and nothing besides. Threads are limited by the
# cores that it may use.
_COLD = {
    OURS: """
import sys
import numpy, tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
waveform = tf.constant(numpy.load(sys.argv[2]))
outputs = serve(waveform=waveform, num_samples=tf.constant([waveform.shape[1]]))
print(outputs["sequence_output"][0, 0, :8].numpy().tolist())
""",
    THEIRS: """
import sys
import numpy, torch, transformers
model = transformers.Wav2Vec2Model.from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    outputs = model(torch.tensor(numpy.load(sys.argv[2])))
print(outputs.last_hidden_state[0, 0, :8].tolist())
""",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    size: Literal["mini", "base", "large"] = "base"
    """Architecture; the weights are random."""
    seconds: tuple[float, ...] = (1.0, 5.0, 30.0)
    """Lengths of the utterance."""
    rounds: int = 5
    """Times that each runs."""
    threads: int | None = None
    """Threads of each; None leaves them to the libraries."""
    calls: int = 0
    """Calls of the SavedModel after which memory is compared; 0 leaves that out."""
    out: pathlib.Path = measure.RESULTS
    """Folder of the JSON."""
    tiny: bool = False
    """A small architecture, short utterances, two rounds."""

    def __post_init__(self):
        """Check that there are calls to compare."""
        if self.calls < 0 or self.calls == 1:
            raise ValueError(f"`calls` must be 0 or at least 2, got {self.calls}.")

    def resolved(self):
        """The settings with what `tiny` changes."""
        if not self.tiny:
            return self
        return dataclasses.replace(self, size="mini", seconds=(0.5,), rounds=2)


def served(folder):
    """An encoder's SavedModel as a function.

    Args:
        folder: path.

    Returns:
        Function from `[1, samples]` float32 array to `[1, frames, dim]` array.
    """
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def run(waveform):
        lengths = tf.constant([waveform.shape[1]])
        return serve(waveform=tf.constant(waveform), num_samples=lengths)["sequence_output"].numpy()

    return run


def speech(seconds):
    """One utterance of noise.

    Args:
        seconds: float.

    Returns:
        `[1, samples]` float32 array.
    """
    return encoder.speech(1, int(seconds * SAMPLE_RATE))


def cold_start(name, folder, waveform_path):
    """Start a process, answer once, and end it.

    Args:
        name: str, whose.
        folder: path of the SavedModel, or of transformers' folder.
        waveform_path: path of a `.npy` file.

    Returns:
        `[8]` array, the answer's first numbers.

    Raises:
        RuntimeError: with its last words, if the process fails.
    """
    command = [sys.executable, "-c", _COLD[name], str(folder), str(waveform_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"The cold start of {name} failed:\n{found.stderr[-2000:]}")
    return np.array(json.loads(found.stdout.splitlines()[-1]))


def memory_growth(serve, calls, longest):
    """How much memory calls of differing lengths leave behind.

    Args:
        serve: function of a waveform, as `served` gives it.
        calls: int.
        longest: float, seconds.

    Returns:
        Dict of ints, bytes that the process holds: after the first tenth of the calls, after all.
    """
    lengths = np.random.default_rng(0).uniform(_SHORTEST, longest, calls)
    held = {}
    for index, seconds in enumerate(track(lengths, "calls")):
        serve(speech(seconds))
        if index + 1 in (max(1, calls // 10), calls):
            held[index + 1] = measure.resident("VmRSS")
    first, last = held.values()
    return {"after a tenth": first, "after all": last}


def main(settings):
    """Export, compare, measure, print and write.

    Args:
        settings: `Settings`.

    Returns:
        List of rows of the table.

    Raises:
        ValueError: if the two do not compute the same.
    """
    settings = settings.resolved()
    measure.limit_threads(settings.threads)
    ours, theirs = encoder.build(encoder.Settings(size=settings.size, tiny=settings.tiny))
    timed = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: pathlib.Path(temporary) / name for name in (OURS, THEIRS)}
        ours.to_transformers(str(folders[THEIRS]))
        serve = served(export_saved_model(ours, folders[OURS]))
        for seconds in settings.seconds:
            waveform = speech(seconds)
            runs = {
                OURS: lambda waveform=waveform: serve(waveform),
                THEIRS: encoder.theirs_forward(theirs, waveform, "float32"),
            }
            measure.check_equal(_BOTH, *(run() for run in runs.values()), _TOLERANCE)
            timed[f"{seconds:g} s"] = measure.in_turn(runs, settings.rounds)
        timed[COLD_START] = _cold_starts(settings, folders, pathlib.Path(temporary) / "speech.npy")
        growth = None
        if settings.calls:
            growth = memory_growth(serve, settings.calls, max(settings.seconds))
    rows = [
        [
            name,
            1000 * statistics.median(seconds[OURS]),
            1000 * statistics.median(seconds[THEIRS]),
            measure.ratio(seconds[THEIRS], seconds[OURS]),
        ]
        for name, seconds in timed.items()
    ]
    measure.report(
        f"serving-{settings.size}",
        settings,
        f"One utterance, wav2vec2-{settings.size}, milliseconds",
        ["utterance", "SavedModel", "transformers", "transformers / SavedModel"],
        rows,
        {"times": timed, "memory": growth},
        settings.out,
    )
    if growth:
        first, last = (held / _MEGABYTE for held in growth.values())
        print(f"{settings.calls} calls: {first:.0f} MB after a tenth, {last:.0f} MB at the end")
    return rows


def _cold_starts(settings, folders, waveform_path):
    """Times of cold starts in turn; both must answer alike."""
    np.save(waveform_path, speech(1.0))
    runs = {
        name: lambda name=name, folder=folder: cold_start(name, folder, waveform_path)
        for name, folder in folders.items()
    }
    measure.check_equal(_BOTH, *(run() for run in runs.values()), _TOLERANCE)
    return measure.in_turn(runs, settings.rounds)


if __name__ == "__main__":
    with explained_errors():
        main(tyro.cli(Settings, description=__doc__))
