"""Files and folders that are there whole or not at all, and disks that are full."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import threading

_FULL = (errno.ENOSPC, errno.EDQUOT)
# HDF5, TensorFlow and NumPy tell of a full disk in words alone.
_FULL_IN_WORDS = re.compile(
    "|".join(
        [*(rf"errno = {number}\b|{re.escape(os.strerror(number))}" for number in _FULL)]
        + [r"\d+ requested and \d+ written"]
    )
)
_BYTES_IN_MB = 1e6


@contextlib.contextmanager
def replaced_file(path, needed=0, shared=False, durable=False, previous=None):
    """Write a file and put it in the place of an old one once it is complete.

    Args:
        path: path; its parents are created.
        needed: int, bytes that will be written, for which room is looked for before.
        shared: bool, whether another process or thread may be writing the same file.
        durable: bool, whether to wait until the disk has the contents, so that a power cut leaves
            no half file under the name.
        previous: path to which the old file is moved; by default it goes.

    Yields:
        Binary file to write to.

    Raises:
        OSError: naming the file, if the disk is full; what was there before stays.

    Example:

    ```python
    with replaced_file("runs/a/state.npz") as file:
        numpy.savez(file, weights=weights)
    ```
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name alone is written over after a kill; two writers must not share one.
    writer = f".{os.getpid()}-{threading.get_ident()}" if shared else ""
    partial = path.with_name(f"{path.name}{writer}.partial")
    partial.unlink(missing_ok=True)
    if needed:
        check_room(path, needed)
    try:
        with _full_disk_explained(path), open(partial, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        # From here on one of the two names is a complete file at every moment.
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path, contents):
    """Write contents at once, whole or not at all; others may be writing the same file.

    Args:
        path: path; its parents are created.
        contents: bytes, or str to be written in UTF-8.

    Raises:
        OSError: naming the file, if the disk is full.
    """
    with replaced_file(path, shared=True) as file:
        file.write(contents.encode("utf-8") if isinstance(contents, str) else contents)


@contextlib.contextmanager
def replaced_folder(folder, needed=0):
    """Fill a new folder and put it in the place of an old one once it is complete.

    Nothing under the folder's name changes until the block has ended without an error. A
    replacement that was killed between its two renames is taken back at the next one.

    Args:
        folder: path; its parents are created.
        needed: int, bytes that will be written, for which room is looked for before.

    Yields:
        `pathlib.Path` of the empty folder to fill.

    Raises:
        OSError: naming the folder, if the disk is full; what was there before stays.

    Example:

    ```python
    with replaced_folder("saved_models/student") as partial:
        backbone.save_to_preset(str(partial))
    ```
    """
    folder = pathlib.Path(folder)
    if folder.is_symlink():
        # The link stays, and the disk is the one that it leads to.
        folder = folder.resolve()
    partial, old = (folder.with_name(folder.name + end) for end in (".partial", ".old"))
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    check_room(folder, needed)
    partial.mkdir(parents=True)
    try:
        with _full_disk_explained(folder):
            yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def files_under(folder):
    """Files under a folder, those of linked folders too; no name begins with a dot.

    macOS leaves a file `._x.wav`, which is no audio, beside each `x.wav` that it copies.

    Args:
        folder: path.

    Yields:
        `pathlib.Path`, folder by folder; a folder that links lead to again comes once.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (pathlib.Path(parent, n) for n in sorted(names) if not n.startswith("."))


def check_room(path, needed, instead="make room, or use another folder"):
    """Refuse to write what the disk cannot hold, before it is half written.

    Args:
        path: path of the file or folder to write.
        needed: int, bytes.
        instead: str, what a user can do.

    Raises:
        OSError: naming the path, if the disk has too little room.
    """
    path = pathlib.Path(path)
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{needed / _BYTES_IN_MB:.1f} MB are to be written, and the disk has "
            f"{free / _BYTES_IN_MB:.1f} MB free; {instead}",
            str(path),
        )


@contextlib.contextmanager
def _full_disk_explained(path):
    """Say which file or folder a full disk had no room for."""
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) in _FULL or _FULL_IN_WORDS.search(str(error)):
            raise OSError(
                errno.ENOSPC,
                "The disk is full; what was there before is kept. Make room, or use another folder",
                str(path),
            ) from error
        raise
