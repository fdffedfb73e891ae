"""What a distillation in a test runs on: a small tree of speech and a small student."""

from tests.data.corpus import write_corpus
from tests.small import speech_student


def write_inputs(root, train, valid, test, **student):
    """Write `speech` and the preset `student` into a folder.

    Args:
        root: `pathlib.Path`.
        train: int, speakers of training.
        valid: int, other ones.
        test: int, other ones.
        **student: arguments of `speech_student`.
    """
    speakers = {"train": train, "valid": valid, "test": test}
    for first, (name, count) in enumerate(speakers.items()):
        # Of one length: each further shape would be compiled for.
        write_corpus(root / "speech", count, subset=name, first=10 * first, step=0)
    speech_student(dim=24, **student).save_to_preset(str(root / "student"))
