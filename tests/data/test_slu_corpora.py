import csv
import dataclasses

import pytest
import soundfile

from pad_keras.data import (
    BadInputError,
    audio_snips,
    check_disjoint_speakers,
    fluent_speech_commands,
    iemocap,
    iemocap_fold,
    label_ids,
    label_names,
    pipeline,
    slot_targets,
)
from pad_keras.models import SlotVocabulary
from tests.data.corpus import add_companions, tone

COLUMNS = ("", "path", "speakerId", "transcription", "action", "object", "location")


def write_audio(path, seconds=0.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds), 16_000)


def write_fsc(root, split, rows, columns=COLUMNS, suffix=".wav"):
    (root / "data").mkdir(parents=True, exist_ok=True)
    with open(root / "data" / f"{split}_data.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number, (speaker, text, *labels) in enumerate(rows):
            path = f"wavs/speakers/{speaker}/{split}{number}{suffix}"
            write_audio(root / path)
            writer.writerow([number, path, speaker, text, *labels][: len(columns)])


@pytest.fixture
def fsc(tmp_path):
    train = [
        ("s2", "Turn up the heat", "increase", "heat", "none"),
        ("s1", "Bring me my shoes, please", "bring", "shoes", "none"),
        ("s1", "Lights on in the kitchen", "activate", "lights", "kitchen"),
    ]
    write_fsc(tmp_path, "train", train)
    write_fsc(tmp_path, "valid", [("s3", "Heat up", "increase", "heat", "none")], suffix=".flac")
    return tmp_path


def test_fluent_speech_commands(fsc):
    train = fluent_speech_commands(fsc, "train")
    assert [u.speaker for u in train] == ["s2", "s1", "s1"]
    assert train[1].text == "Bring me my shoes, please"
    assert train[0].id == "wavs/speakers/s2/train0.wav"
    assert train[0].seconds == pytest.approx(0.3)
    names = label_names(train)
    assert names == {
        "action": ("increase", "bring", "activate"),
        "object": ("heat", "shoes", "lights"),
        "location": ("none", "kitchen"),
    }
    valid = fluent_speech_commands(fsc, "valid")
    ids = {name: values.tolist() for name, values in label_ids(valid, names).items()}
    assert ids == {"action": [0], "object": [0], "location": [0]}
    check_disjoint_speakers(train, valid=valid)


def test_a_column_part_tells_parts_of_a_split_apart(fsc):
    rows = [("s4", "Heat up", "increase", "heat", "none", "new"), ("s4", "x", "a", "b", "c", "")]
    write_fsc(fsc, "test", rows, columns=(*COLUMNS, "part"))
    assert [u.part for u in fluent_speech_commands(fsc, "test")] == ["new", ""]
    assert {u.part for u in fluent_speech_commands(fsc, "train")} == {""}


def test_targets_stay_with_their_utterances(fsc):
    train = fluent_speech_commands(fsc, "train")
    ids = label_ids(train, label_names(train))
    long = dataclasses.replace(train[0], seconds=30.0)
    rows = {}
    for data in (pipeline(train, 1, targets=ids, shuffle=True), pipeline(train, 2, targets=ids)):
        seen = [row for _, y in data.as_numpy_iterator() for row in zip(*y.values(), strict=True)]
        rows[len(rows)] = sorted(tuple(int(value) for value in row) for row in seen)
    assert rows[0] == rows[1] == [(0, 0, 0), (1, 1, 0), (2, 2, 1)]
    data = pipeline([long, *train[1:]], 2, targets=ids, max_seconds=20)
    assert next(data.as_numpy_iterator())[1]["action"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="'action' has 3 rows for 2 utterances"):
        pipeline(train[:2], 1, targets=ids)


def test_an_unknown_label_is_named(fsc):
    write_fsc(fsc, "test", [("s4", "Dance", "dance", "heat", "none")])
    names = label_names(fluent_speech_commands(fsc, "train"))
    with pytest.raises(BadInputError, match="test0.wav: the action 'dance' is none"):
        label_ids(fluent_speech_commands(fsc, "test"), names)


def test_what_is_wrong_with_fluent_speech_commands_is_named(fsc):
    with pytest.raises(FileNotFoundError, match=r"dev_data.csv'; .*train_data.csv"):
        fluent_speech_commands(fsc, "dev")
    write_fsc(fsc, "test", [("s4", "x", "a", "b", "c")], columns=COLUMNS[:-1])
    with pytest.raises(BadInputError, match=r"columns \['location'\] are missing"):
        fluent_speech_commands(fsc, "test")
    write_fsc(fsc, "test", [("s4", "x", "a", "", "c"), ("s4", "y", "a", "b", "c")])
    with pytest.raises(BadInputError, match=r"test_data.csv:2: nothing in the columns"):
        fluent_speech_commands(fsc, "test")
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(fluent_speech_commands(fsc, "test", on_error="skip")) == 1
    (fsc / "wavs" / "speakers" / "s3" / "valid0.flac").unlink()
    with pytest.raises(BadInputError, match="valid0.flac: the audio file is missing"):
        fluent_speech_commands(fsc, "valid")


def append(path, line):
    path.write_text(path.read_text() + line)


def test_rows_that_mislead_are_named(fsc):
    path = fsc / "data" / "train_data.csv"
    before = path.read_text()
    append(path, "9,wavs/speakers/s2/train0.wav,s2,Turn it, up,increase,heat,none\n")
    with pytest.raises(BadInputError, match=r"train_data.csv:5: more cells than columns"):
        fluent_speech_commands(fsc, "train")
    path.write_text(before)
    append(path, "9, wavs/speakers/s2/train0.wav,s2,Turn it up,decrease,heat,none\n")
    with pytest.raises(BadInputError, match=r":5: the path '.*train0.wav' stands in line 2, too"):
        fluent_speech_commands(fsc, "train")
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(fluent_speech_commands(fsc, "train", on_error="skip")) == 3


def test_a_file_under_two_spellings_is_one_file(fsc):
    append(fsc / "data" / "train_data.csv", "9,wavs/./speakers//s2/train0.wav,s2,x,a,b,c\n")
    with pytest.raises(BadInputError, match=r":5: the path '.*//s2/train0.wav' stands in line 2"):
        fluent_speech_commands(fsc, "train")
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(fluent_speech_commands(fsc, "train", on_error="skip")) == 3


@pytest.mark.parametrize("where", ["parent", "parent of a folder", "absolute"])
def test_a_path_that_leaves_the_corpus_is_named(fsc, tmp_path_factory, where):
    outside = tmp_path_factory.mktemp("outside") / "x.wav"
    write_audio(outside)
    above = f"../{outside.parent.name}/x.wav"
    path = {"parent": above, "parent of a folder": f"wavs/../{above}"}.get(where, str(outside))
    append(fsc / "data" / "train_data.csv", f"9,{path},s2,x,a,b,c\n")
    with pytest.raises(BadInputError, match=r"train_data.csv:5: the path '.*x.wav' leaves"):
        fluent_speech_commands(fsc, "train")
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(fluent_speech_commands(fsc, "train", on_error="skip")) == 3


def test_a_split_of_a_header_alone_is_named(fsc):
    write_fsc(fsc, "test", [])
    with pytest.raises(FileNotFoundError, match=r"No utterance in '.*test_data.csv'"):
        fluent_speech_commands(fsc, "test")


def test_a_name_that_no_disk_can_have_is_skipped(fsc):
    append(fsc / "data" / "train_data.csv", f"9,wavs/{'x' * 300}.wav,s2,x,a,b,c\n")
    with pytest.raises(BadInputError, match=r"xxx.wav: unreadable audio \(File name too long\)"):
        fluent_speech_commands(fsc, "train")
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(fluent_speech_commands(fsc, "train", on_error="skip")) == 3


def test_blanks_and_byte_order_marks_are_no_part_of_a_cell(fsc):
    path = fsc / "data" / "train_data.csv"
    expected = fluent_speech_commands(fsc, "train")
    told = path.read_text().replace(",s1,", ", s1 ,").replace(",wavs", ", wavs")
    path.write_text(told, encoding="utf-8-sig")
    assert fluent_speech_commands(fsc, "train") == expected


@pytest.fixture
def snips(tmp_path):
    lines = []
    for split, speakers in {"train": ["Joey", "Ivy"], "test": ["Emma"]}.items():
        for speaker in speakers:
            uid = f"{speaker}-snips-{split}-0"
            write_audio(tmp_path / split / speaker / f"{uid}.wav")
            lines.append(f"{uid} BOS ADD ADELE EOS\tO O artist AddToPlaylist")
    (tmp_path / "all.iob.snips.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "slots.txt").write_text("O\nartist\nplaylist\n")
    return tmp_path


def test_audio_snips(snips):
    train = audio_snips(snips, "train")
    assert [u.id for u in train] == ["Ivy-snips-train-0", "Joey-snips-train-0"]
    assert train[0].text == "ADD ADELE"
    assert train[0].labels == {"slots": "O artist", "intent": "AddToPlaylist"}
    assert [u.speaker for u in audio_snips(snips, "train", speakers=["Joey"])] == ["Joey"]
    check_disjoint_speakers(train, test=audio_snips(snips, "test"))
    vocabulary = SlotVocabulary.read(snips / "slots.txt")
    targets = slot_targets(train, vocabulary)
    assert targets["length"].tolist() == [12, 12]
    assert vocabulary.decode(targets["ids"][0]) == "ADD B-artist ADELE E-artist"
    odd = dataclasses.replace(train[0], text="ADD")
    with pytest.raises(BadInputError, match="Ivy-snips-train-0: 1 words and 2 slots"):
        slot_targets([odd], vocabulary)


def test_files_that_macos_left_are_passed_over(snips, emotions):
    expected = audio_snips(snips), iemocap(emotions, sessions=(1, 2))
    add_companions(snips)
    assert (audio_snips(snips), iemocap(emotions, sessions=(1, 2))) == expected


def test_linked_folders_belong_to_a_split(snips, tmp_path_factory):
    expected = audio_snips(snips)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "Joey"
    (snips / "train" / "Joey").rename(elsewhere)
    (snips / "train" / "Joey").symlink_to(elsewhere)
    # And one that would never end.
    (snips / "train" / "again").symlink_to(snips / "train")
    assert [u.id for u in audio_snips(snips)] == [u.id for u in expected]


def test_an_id_of_two_files_or_two_meanings_is_named(snips):
    path = snips / "all.iob.snips.txt"
    append(path, path.read_text().splitlines()[0] + "\n")
    assert len(audio_snips(snips)) == 2
    append(path, "Joey-snips-train-0 BOS PLAY ADELE EOS\tO O artist PlayMusic\n")
    with pytest.raises(BadInputError, match=r"txt:5: the id 'Joey-snips-train-0' has another line"):
        audio_snips(snips)
    write_audio(snips / "train" / "other" / "Ivy-snips-train-0.wav")
    with pytest.raises(BadInputError, match=r"Ivy-snips-train-0.wav: the id is taken by"):
        audio_snips(snips, speakers=["Ivy"])


def test_a_request_without_words_is_named(snips):
    write_audio(snips / "train" / "Joey" / "Joey-snips-train-1.wav")
    append(snips / "all.iob.snips.txt", "Joey-snips-train-1 BOS EOS\tO AddToPlaylist\n")
    with pytest.raises(BadInputError, match=r"snips.txt:4: no words between BOS and EOS"):
        audio_snips(snips)
    with pytest.warns(UserWarning, match=r"snips.txt:4: no words"):
        assert len(audio_snips(snips, on_error="skip")) == 2


def test_byte_order_marks_are_no_part_of_audio_snips(snips):
    expected = audio_snips(snips)
    for name in ("all.iob.snips.txt", "slots.txt"):
        (snips / name).write_text((snips / name).read_text(), encoding="utf-8-sig")
    assert audio_snips(snips) == expected
    assert SlotVocabulary.read(snips / "slots.txt").slots == ("artist", "playlist")


def test_what_is_wrong_with_audio_snips_is_named(snips):
    with pytest.raises(FileNotFoundError, match="No 'valid'"):
        audio_snips(snips, "valid")
    with pytest.raises(FileNotFoundError, match=r"no speaker \['Salli'\]"):
        audio_snips(snips, "train", speakers=["Salli"])
    write_audio(snips / "train" / "Joey" / "Joey-snips-train-1.wav")
    with pytest.raises(BadInputError, match="Joey-snips-train-1.wav: no line of its own"):
        audio_snips(snips, "train")
    path = snips / "all.iob.snips.txt"
    broken = "Joey-snips-train-1 BOS ADD EOS\tO artist artist AddToPlaylist\n"
    path.write_text(path.read_text() + broken)
    with pytest.raises(BadInputError, match=r"all.iob.snips.txt:4: expected 'uid BOS"):
        audio_snips(snips, "train")
    path.write_text(path.read_text().replace("O artist artist", "O genre"))
    with pytest.raises(BadInputError, match=r"the slots \['genre'\] are not in slots.txt"):
        audio_snips(snips, "train")
    (snips / "slots.txt").unlink()
    with pytest.raises(FileNotFoundError, match="No 'slots.txt'"):
        audio_snips(snips, "train")


@pytest.fixture
def emotions(tmp_path):
    said = {"F000": "neu", "M000": "exc", "F001": "fru", "M001": "ang", "F002": "sad"}
    for session in (1, 2):
        folder = tmp_path / f"Session{session}"
        dialog = f"Ses0{session}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        words = []
        for turn, emotion in said.items():
            uid = f"{dialog}_{turn}"
            write_audio(folder / "sentences" / "wav" / dialog / f"{uid}.wav")
            lines += [f"[6.29 - 8.23]\t{uid}\t{emotion}\t[2.5, 2.5, 2.5]", f"C-E2:\t{emotion};\t()"]
            words.append(f"{uid} [006.29-008.23]: Excuse me.")
        (folder / "dialog" / "EmoEvaluation").mkdir(parents=True)
        (folder / "dialog" / "EmoEvaluation" / f"{dialog}.txt").write_text("\n".join(lines))
        (folder / "dialog" / "transcriptions").mkdir()
        (folder / "dialog" / "transcriptions" / f"{dialog}.txt").write_text("\n".join(words))
    return tmp_path


def test_iemocap(emotions):
    utterances = iemocap(emotions, sessions=(1, 2))
    assert len(utterances) == 8
    first = {u.id: u for u in utterances}
    assert first["Ses01F_impro01_M000"].labels == {"emotion": "hap"}
    assert first["Ses01F_impro01_M000"].speaker == "Ses01M"
    assert first["Ses02F_impro01_F002"].text == "Excuse me."
    assert "Ses01F_impro01_F001" not in first


def test_iemocap_in_capitals_and_with_byte_order_marks(emotions):
    expected = [(u.id, u.text) for u in iemocap(emotions, sessions=(1, 2))]
    for path in list(emotions.rglob("*.wav")):
        path.rename(path.with_suffix(".WAV"))
    for path in emotions.rglob("*.txt"):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    assert [(u.id, u.text) for u in iemocap(emotions, sessions=(1, 2))] == expected


def test_folds_leave_a_session_out(emotions):
    utterances = iemocap(emotions, sessions=(1, 2))
    splits = iemocap_fold(utterances, fold=2, valid_share=0.25)
    assert {u.speaker[:5] for u in splits["test"]} == {"Ses02"}
    assert [len(splits[name]) for name in ("train", "valid", "test")] == [3, 1, 4]
    check_disjoint_speakers(splits["train"], test=splits["test"])
    assert sorted(u.id for part in splits.values() for u in part) == [u.id for u in utterances]
    assert splits == iemocap_fold(utterances, fold=2, valid_share=0.25)
    with pytest.raises(ValueError, match=r"`fold` 3 needs .* there are \[1, 2\]"):
        iemocap_fold(utterances, fold=3)


def test_what_is_wrong_with_iemocap_is_named(emotions):
    with pytest.raises(FileNotFoundError, match=r"Session3"):
        iemocap(emotions)
    next((emotions / "Session1").rglob("*_M001.wav")).unlink()
    with pytest.raises(BadInputError, match="Ses01F_impro01_M001: an evaluation without"):
        iemocap(emotions, sessions=(1, 2))
    with pytest.warns(UserWarning, match="skipped 1 items"):
        assert len(iemocap(emotions, sessions=(1, 2), on_error="skip")) == 7


# What stands in line 9 in place of Ses01F_impro01_M001's evaluation, and what is said of it.
MISLEADING = {
    "no emotion": ("[6 - 8]\tSes01F_impro01_M001", "expected '.start - end. id emotion'"),
    "no end of the times": ("[6.29 - 8.23\tSes01F_impro01_M001\tang", "expected"),
    "an emotion that is none": ("[6 - 8]\tSes01F_impro01_M001\tbored", "the emotion 'bored' is"),
    "an emotion in capitals": ("[6 - 8]\tSes01F_impro01_M001\tANG", "the emotion 'ANG' is none"),
    "another session": ("[6 - 8]\tSes02F_impro01_M001\tang", "'Ses02F_impro01_M001' is none of"),
    "no speaker": ("[6 - 8]\tSes01F_impro01_X001\tang", "'Ses01F_impro01_X001' is none of"),
    "no turn": ("[6 - 8]\tSes01F_impro01_M\tang", "'Ses01F_impro01_M' is none of session 1"),
    "an id of before": ("[6 - 8]\tSes01F_impro01_M000\tang", r"stands in .*impro01.txt:5, too"),
    "an id of an unused": ("[6 - 8]\tSes01F_impro01_F001\tang", r"stands in .*impro01.txt:7, too"),
}


@pytest.mark.parametrize("what", MISLEADING)
def test_lines_of_an_evaluation_that_mislead_are_named(emotions, what):
    line, told = MISLEADING[what]
    path = emotions / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    lines = path.read_text().split("\n")
    assert "M001\tang" in lines[8]
    path.write_text("\n".join([*lines[:8], line, *lines[9:]]))
    # Where the id names a file, there is one.
    dialog = emotions / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    write_audio(dialog / f"{line.split(chr(9))[1]}.wav")
    with pytest.raises(BadInputError, match=f"Ses01F_impro01.txt:9: .*{told}"):
        iemocap(emotions, sessions=(1, 2))
    with pytest.warns(UserWarning, match=r"skipped 1 items:\n.*Ses01F_impro01.txt:9: "):
        utterances = iemocap(emotions, sessions=(1, 2), on_error="skip")
    assert [u.id for u in utterances if u.speaker == "Ses01M"] == ["Ses01F_impro01_M000"]
    assert len(utterances) == 7


@pytest.mark.parametrize("emotion", ["fru", "sur", "fea", "dis", "oth", "xxx"])
def test_emotions_of_no_class_are_left_out_in_silence(emotions, emotion):
    for path in emotions.rglob("EmoEvaluation/*.txt"):
        path.write_text(path.read_text().replace("\tang\t", f"\t{emotion}\t"))
    assert len(iemocap(emotions, sessions=(1, 2))) == 6


def test_turns_without_a_number_are_utterances(emotions):
    for path in [*emotions.rglob("*.wav"), *emotions.rglob("*.txt")]:
        if path.suffix == ".txt":
            path.write_text(path.read_text().replace("_M000", "_MXX0"))
        elif "M000" in path.name:
            path.rename(path.with_name(path.name.replace("M000", "MXX0")))
    assert "Ses01F_impro01_MXX0" in [u.id for u in iemocap(emotions, sessions=(1, 2))]


def test_a_corpus_without_a_usable_emotion_is_named(emotions):
    for path in emotions.rglob("EmoEvaluation/*.txt"):
        path.write_text("% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n")
    with pytest.raises(ValueError, match=r"no utterance of the sessions \[1, 2\] .*'neu'"):
        iemocap(emotions, sessions=(1, 2))


def test_folds_want_ids_that_tell_the_session(emotions):
    utterances = iemocap(emotions, sessions=(1, 2))
    strange = dataclasses.replace(utterances[0], id="take-7", speaker="take-M")
    with pytest.raises(ValueError, match="the id 'take-7' tells no session"):
        iemocap_fold([*utterances, strange], fold=1)
