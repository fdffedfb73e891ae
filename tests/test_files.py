import errno
import os
import shutil
import types

import numpy as np
import pytest

from pad_keras import files
from pad_keras.files import check_room, replaced_file, replaced_folder, write_atomically

ROOM = 4096


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


def fill(file, write):
    """Write more than a system lets that allows files of `ROOM` bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        write(file, np.zeros(2 * ROOM))
        file.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(monkeypatch):
    """What the system calls a limit of the process is a full disk here."""
    monkeypatch.setattr(files, "_FULL", (errno.EFBIG,))


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a" / "b"
    write_atomically(path, "first")
    with replaced_file(path, durable=True) as file:
        file.write(b"second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert [found.name for found in path.parent.iterdir()] == ["b"]


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("write", [lambda file, array: file.write(array.tobytes()), np.save])
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, shared, write):
    path = tmp_path / "b"
    path.write_text("first")
    named = pytest.raises(OSError, match="disk is full.*Make room.*/b'")
    with named, replaced_file(path, shared=shared) as file:
        fill(file, write)
    assert path.read_text() == "first"
    assert [found.name for found in tmp_path.iterdir()] == ["b"]


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "b"
    write(folder, "first")
    with (
        pytest.raises(OSError, match="disk is full"),
        replaced_folder(folder) as partial,
        open(partial / "file", "wb") as file,
    ):
        fill(file, np.save)
    assert (folder / "file").read_text() == "first"
    assert [found.name for found in tmp_path.iterdir()] == ["b"]


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), replaced_file(tmp_path / "b"):
        raise PermissionError("no")
    with pytest.raises(RuntimeError, match="^no$"), replaced_folder(tmp_path / "c"):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "message",
    [
        f"Can't write data (errno = {errno.ENOSPC}, error message = 'No space')",
        f"ResourceExhausted: /a/b; {os.strerror(errno.ENOSPC)}",
    ],
    ids=["HDF5", "TensorFlow"],
)
def test_libraries_words_for_a_full_disk_are_known(tmp_path, message):
    with pytest.raises(OSError, match="disk is full"), replaced_folder(tmp_path / "c"):
        raise RuntimeError(message)


def test_the_old_file_moves_once_the_new_one_is_safe(tmp_path, monkeypatch):
    path, previous = tmp_path / "b", tmp_path / "a"
    previous.write_text("first")
    path.write_text("second")

    def no_room(_):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        full = pytest.raises(OSError, match="disk is full")
        with full, replaced_file(path, durable=True, previous=previous) as file:
            file.write(b"third")
    assert (previous.read_text(), path.read_text()) == ("first", "second")
    with replaced_file(path, durable=True, previous=previous) as file:
        file.write(b"third")
    assert (previous.read_text(), path.read_text()) == ("second", "third")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_kill_left_makes_room(tmp_path, monkeypatch):
    left = [tmp_path / "file.partial", tmp_path / "folder.partial", tmp_path / "folder.old"]
    left[0].write_bytes(b"half")
    for folder in (*left[1:], tmp_path / "folder"):
        folder.mkdir()

    def usage(_):
        return types.SimpleNamespace(free=15 - 5 * sum(path.exists() for path in left))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with replaced_folder(tmp_path / "folder", needed=10):
        pass
    with replaced_file(tmp_path / "file", needed=15):
        pass


def test_room_is_asked_for_before(tmp_path, monkeypatch):
    usage = types.SimpleNamespace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    check_room(tmp_path / "not" / "yet", 2_000_000)
    with pytest.raises(OSError, match=r"2.1 MB .* 2.0 MB free; go.*not/yet") as caught:
        check_room(tmp_path / "not" / "yet", 2_100_000, "go")
    assert caught.value.errno == errno.ENOSPC
