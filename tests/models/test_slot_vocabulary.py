import pytest

from pad_keras.models import SlotVocabulary


@pytest.fixture
def vocabulary():
    return SlotVocabulary(["artist", "playlist"])


def encode(vocabulary, text, slots):
    return " ".join(map(str, vocabulary.encode(text, slots)))


def test_the_worked_example(vocabulary):
    ids = vocabulary.encode("ADD ADELE TO MY LIST", "O artist O O playlist")
    assert ids == [
        4, 7, 7, 3, 31, 4, 7, 8, 15, 8, 32, 3, 23, 18, 3, 16, 28, 3, 33, 15, 12, 22, 23, 34, 1,
    ]  # fmt: skip
    text = "ADD B-artist ADELE E-artist TO MY B-playlist LIST E-playlist"
    assert vocabulary.decode(ids) == text
    assert len(vocabulary) == 35


def test_words_of_one_slot_share_its_markers(vocabulary):
    ids = vocabulary.encode("A B C", "artist artist playlist")
    assert vocabulary.decode(ids) == "B-artist A B E-artist B-playlist C E-playlist"


def test_punctuation_and_unknown_characters(vocabulary):
    assert encode(vocabulary, "A ? B", "O O O") == "4 3 5 1"
    # A last word that is skipped leaves a space and no end.
    assert encode(vocabulary, "A .", "O O") == "4 3"
    assert encode(vocabulary, "A & É", "O O O") == "4 3 4 17 7 3 2 1"
    # A slot whose first word is skipped is never opened.
    assert encode(vocabulary, "- A", "artist artist") == "4 32 1"


def test_frames_are_collapsed(vocabulary):
    frames = [0, 31, 31, 4, 4, 0, 4, 32, 32, 1, 0]
    assert vocabulary.decode_frames(frames) == "B-artist AA E-artist"


def test_it_reads_the_list_of_slots(tmp_path):
    path = tmp_path / "slots.txt"
    path.write_text("O\nartist\nplaylist\n")
    assert SlotVocabulary.read(path).slots == ("artist", "playlist")
    path.write_text("artist\n")
    with pytest.raises(ValueError, match="slots.txt: the first line must be O"):
        SlotVocabulary.read(path)
    with pytest.raises(FileNotFoundError, match="No list of slots"):
        SlotVocabulary.read(tmp_path / "none.txt")


def test_wrong_use_is_explained(vocabulary):
    with pytest.raises(ValueError, match="2 words and 1 slots"):
        vocabulary.encode("A B", "O")
    with pytest.raises(ValueError, match=r"\['genre'\] are none of"):
        vocabulary.encode("A", "genre")
    with pytest.raises(ValueError, match="different names"):
        SlotVocabulary(["a", "a"])
