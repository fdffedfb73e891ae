import shutil
import warnings

import pytest

from experiments.distillation.configuration import EMBEDDED_CORPUS
from pad_keras.data import (
    BadInputError,
    check_disjoint_speakers,
    decodable,
    librispeech,
    total_hours,
    within_seconds,
)
from tests.data.corpus import add_companions, write_corpus


@pytest.fixture
def root(tmp_path):
    return write_corpus(tmp_path / "corpus")


def test_it_reads_the_layout(root):
    utterances = librispeech(root, hours=None)
    assert [u.id for u in utterances] == [
        f"{s}-7-{n:04d}" for s in (100, 101, 102) for n in range(4)
    ]
    first = utterances[0]
    assert first.speaker == "100"
    assert first.text == "THE CAT NUMBER ONE OF 0"
    assert first.seconds == pytest.approx(0.3)
    assert first.audio.endswith("train/100/7/100-7-0000.flac")
    assert librispeech(root / "train", hours=None) == utterances


def test_files_that_macos_left_are_passed_over(root):
    expected = librispeech(root, hours=None)
    add_companions(root)
    assert librispeech(root, hours=None) == expected
    assert librispeech(root / "train", hours=None) == expected


def test_a_byte_order_mark_is_no_part_of_an_id(root):
    expected = librispeech(root, hours=None)
    for path in root.rglob("*.txt"):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    assert librispeech(root, hours=None) == expected


def test_lines_end_where_they_do_in_a_file(root):
    path = root / "train" / "100" / "7" / "100-7.trans.txt"
    path.write_text(path.read_text().replace("THE CAT", "THE\u2028CAT\f").replace("\n", "\r\n"))
    assert librispeech(root, hours=None)[0].text == "THE CAT NUMBER ONE OF 0"


@pytest.mark.parametrize("suffix", [".ogg", ".wav"])
def test_it_reads_other_formats(tmp_path, suffix):
    assert len(librispeech(write_corpus(tmp_path, suffix=suffix), hours=None)) == 12


def test_subsets_are_chosen(root):
    write_corpus(root, subset="dev", first=50, speakers=1)
    assert len(librispeech(root, hours=None)) == 16
    assert {u.speaker for u in librispeech(root, hours=None, subsets=["dev"])} == {"150"}
    with pytest.raises(FileNotFoundError, match=r"'tset'.*\['dev', 'train'\]"):
        librispeech(root, subsets=["tset"])


def test_a_part_is_reproducible_and_speaker_balanced(root):
    hours = 1.2 / 3600
    part = librispeech(root, hours=hours, seed=3)
    assert part == librispeech(root, hours=hours, seed=3)
    assert {u.speaker for u in part} == {"100", "101", "102"}
    assert total_hours(part) >= hours > total_hours(part) - 0.6 / 3600
    parts = {tuple(u.id for u in librispeech(root, hours=hours, seed=s)) for s in range(6)}
    assert len(parts) > 1


def test_too_few_hours_are_told(root):
    with pytest.warns(UserWarning, match="10 hours were asked for"):
        assert len(librispeech(root)) == 12
    for hours in (-1, float("nan")):
        with pytest.raises(ValueError, match=f"hours.*{hours}"):
            librispeech(root, hours=hours)


# Of 100-7-0000, which lasts 0.3 s.
TIMES = "THE:0.0:0.05 CAT:0.05:0.1 NUMBER:0.1:0.15 ONE:0.15:0.2 OF:0.2:0.25 0:0.25:0.3"


def test_word_times_are_read(root):
    (root / "words.tsv").write_text(f"100-7-0000\t{TIMES}\n")
    words = librispeech(root, hours=None)[0].words
    assert [(w.word, w.start, w.end) for w in words[:2]] == [("THE", 0.0, 0.05), ("CAT", 0.05, 0.1)]
    assert " ".join(w.word for w in words) == "THE CAT NUMBER ONE OF 0"
    (root / "words.tsv").write_text("100-7-0000\tTHE:zero:0.1\n")
    with pytest.raises(BadInputError, match="words.tsv:1"):
        librispeech(root, hours=None)


# Line 2 of words.tsv, behind one that is right.
MISLEADING = {
    "fewer words": (f"100-7-0001\t{TIMES}", "6 words of '100-7-0001', whose transcript has 7"),
    "no words": ("100-7-0001\t", "0 words of '100-7-0001', whose transcript has 7"),
    "later than the audio": (
        f"101-7-0000\t{TIMES.replace('0.3', '0.4')}",
        "until 0.4 s, whose audio ends after 0.310 s",
    ),
    "an id twice": (f"100-7-0000\t{TIMES}", r"the id '100-7-0000' stands in .*words.tsv:1, too"),
}


@pytest.mark.parametrize("folder", ["", "train"])
@pytest.mark.parametrize("what", MISLEADING)
def test_word_times_that_mislead_are_named_or_skipped(root, what, folder):
    line, told = MISLEADING[what]
    (root / folder / "words.tsv").write_text(f"100-7-0000\t{TIMES}\n{line}\n")
    with pytest.raises(BadInputError, match=f"words.tsv:2: .*{told}"):
        librispeech(root, hours=None)
    with pytest.warns(UserWarning, match=r"skipped 1 items:\n.*words.tsv:2: "):
        utterances = librispeech(root, hours=None, on_error="skip")
    # Their audio and transcripts are usable without.
    assert len(utterances) == 12
    assert [u.id for u in utterances if u.words] == ["100-7-0000"]


def test_word_times_of_what_was_not_asked_for_are_passed_over(root):
    write_corpus(root, subset="dev", first=50, speakers=1)
    # A time may be rounded, and a line empty.
    times = TIMES.replace("0.3", "0.34")
    (root / "words.tsv").write_text(f"150-7-0000\t{TIMES}\n\n100-7-0000\t{times}\n")
    (root / "train" / "words.tsv").write_text(f"102-7-0000\t{TIMES}\n")
    expected = ["100-7-0000", "102-7-0000"]
    train = librispeech(root, hours=None, subsets=["train"])
    assert [u.id for u in train if u.words] == expected
    assert [u.id for u in librispeech(root / "train", hours=None) if u.words] == expected[1:]


def test_word_times_of_ids_without_a_transcript_are_told(root):
    (root / "words.tsv").write_text(f"100-7-0000\t{TIMES}\n100-7-0009\t{TIMES}\n")
    with pytest.warns(UserWarning, match="ids of 1 lines of words.tsv, such as '100-7-0009'"):
        utterances = librispeech(root, hours=None)
    assert [u.id for u in utterances if u.words] == ["100-7-0000"]


def test_word_times_of_broken_audio_are_told_once(root):
    (root / "words.tsv").write_text(f"100-7-0000\t{TIMES}\n100-7-0001\t{TIMES}\n")
    (root / "train" / "100" / "7" / "100-7-0000.flac").unlink()
    (root / "train" / "100" / "7" / "100-7-0001.flac").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped 2 items"):
        assert len(librispeech(root, hours=None, on_error="skip")) == 10


@pytest.mark.parametrize("subsets", [None, ["train"], ["valid"], ["test"]])
def test_the_embedded_word_times_are_sound(subsets):
    utterances = librispeech(EMBEDDED_CORPUS, hours=None, subsets=subsets)
    assert all(utterance.words for utterance in utterances)


BREAKAGES = {
    "empty audio": lambda c: (c / "100-7-0001.flac").write_bytes(b""),
    "no audio at all": lambda c: (c / "100-7-0001.flac").write_bytes(b"text" * 99),
    "transcript without audio": lambda c: (c / "100-7-0001.flac").unlink(),
    "audio without transcript": lambda c: (c / "100-7.trans.txt").write_text(
        "\n".join(
            line for line in (c / "100-7.trans.txt").read_text().splitlines() if "0001" not in line
        )
    ),
    "other words of one id": lambda c: (c / "100-7.trans.txt").write_text(
        (c / "100-7.trans.txt").read_text() + "100-7-0001 OTHER WORDS\n"
    ),
    "two files of one id": lambda c: shutil.copy(c / "100-7-0001.flac", c / "100-7-0001.wav"),
    "empty transcript": lambda c: (c / "100-7.trans.txt").write_text(
        (c / "100-7.trans.txt").read_text().replace("0001 THE CAT NUMBER ONE ONE OF 0", "0001 ")
    ),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_what_is_broken_is_named_or_skipped(root, what):
    BREAKAGES[what](root / "train" / "100" / "7")
    with pytest.raises(BadInputError, match="100-7"):
        librispeech(root, hours=None)
    with pytest.warns(UserWarning, match=r"skipped \d items:\n(.*\n)*.*100-7"):
        utterances = librispeech(root, hours=None, on_error="skip")
    # What is told twice is taken as it is told first.
    is_left_out = "of one id" not in what
    assert ("100-7-0001" in [u.id for u in utterances]) != is_left_out
    assert len(utterances) == 12 - is_left_out


def test_a_stream_without_its_length_is_named(root):
    path = root / "train" / "100" / "7" / "100-7-0001.flac"
    contents = bytearray(path.read_bytes())
    # The last 36 bits of 8 bytes of the stream's information: its number of samples.
    contents[21] &= 0xF0
    contents[22:26] = bytes(4)
    path.write_bytes(contents)
    with pytest.raises(BadInputError, match=r"0001.flac: its header does not say how long it is"):
        librispeech(root, hours=None)


def test_a_wrong_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        librispeech(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"No utterance under .*trans\.txt"):
        librispeech(tmp_path)


def test_shared_speakers_are_refused(root):
    utterances = librispeech(root, hours=None)
    check_disjoint_speakers(utterances[:4], valid=utterances[4:])
    with pytest.raises(ValueError, match=r"'test'.*\['101'\]"):
        check_disjoint_speakers(utterances[:5], valid=utterances[8:], test=utterances[4:])
    with pytest.raises(ValueError, match=r"'valid' and 'test' share.*\['101'"):
        check_disjoint_speakers(utterances[:4], valid=utterances[4:], test=utterances[4:])


def test_long_utterances_are_left_out(root):
    utterances = librispeech(root, hours=None)
    assert {u.id[-1] for u in within_seconds(utterances, 0.4)} == {"0", "1"}
    with pytest.raises(ValueError, match=r"max_seconds=0\.1"):
        within_seconds(utterances, 0.1)


def test_undecodable_files_are_left_out(root):
    utterances = librispeech(root, hours=None)
    broken = root / "train" / "101" / "7" / "101-7-0002.flac"
    broken.write_bytes(broken.read_bytes()[:600])
    with pytest.warns(UserWarning, match="skipped 1 items"):
        kept = decodable(utterances)
    assert [u.id for u in utterances if u not in kept] == ["101-7-0002"]
    with pytest.raises(BadInputError, match="101-7-0002"):
        decodable(utterances, on_error="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decodable(kept) == kept
