import os

import pytest

from pad_keras.folders import replaced_folder


def write(folder, text):
    with replaced_folder(folder) as partial:
        (partial / "file").write_text(text)


def test_a_folder_is_made_and_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "a" / "b"
    write(folder, "first")
    (folder / "other").write_text("of the first")
    write(folder, "second")
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == "second"
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


def test_an_error_leaves_what_was_there(tmp_path):
    folder = tmp_path / "b"
    write(folder, "first")
    with pytest.raises(TypeError):
        write(folder, text=None)
    assert (folder / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_a_kill_left_is_cleared(tmp_path):
    folder = tmp_path / "b"
    (tmp_path / "b.partial").mkdir()
    (tmp_path / "b.partial" / "stray").write_text("half")
    write(folder, "whole")
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_kill_between_the_renames_loses_nothing(tmp_path):
    folder = tmp_path / "b"
    write(folder, "first")
    os.replace(folder, tmp_path / "b.old")
    with pytest.raises(OSError, match="disk"), replaced_folder(folder):
        raise OSError("disk full")
    assert (folder / "file").read_text() == "first"
