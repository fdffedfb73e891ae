"""Small trees in LibriSpeech's layout, for tests."""

import numpy as np
import soundfile


def tone(seconds, rate=16_000, channels=1, frequency=440.0):
    """A sine wave, `[samples]` or `[samples, channels]`."""
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


def add_companions(root):
    """Beside every file what macOS leaves there when it copies: `._` and the name, no audio."""
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in files:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert files


def write_corpus(
    root, speakers=3, per_speaker=4, suffix=".flac", subset="train", first=0, step=0.07
):
    """Write `<subset>/<speaker>/<chapter>/...` with utterances of 0.3 s and longer.

    The n-th utterance is `n * step` longer; with a step of 0 all are alike.
    """
    for speaker in range(first, first + speakers):
        chapter = root / subset / str(100 + speaker) / "7"
        chapter.mkdir(parents=True)
        lines = []
        for number in range(per_speaker):
            uid = f"{100 + speaker}-7-{number:04d}"
            seconds = 0.3 + step * (number + speaker / 7)
            wave = tone(seconds, frequency=200 + 10 * number)
            soundfile.write(chapter / f"{uid}{suffix}", wave, 16_000)
            lines.append(f"{uid} THE CAT NUMBER {'ONE ' * (number + 1)}OF {speaker}".strip())
        (chapter / f"{100 + speaker}-7.trans.txt").write_text("\n".join(lines) + "\n")
    return root
