"""Locks between processes that share a folder; the system frees them when a process dies.

A lock of a folder is a file in `.locks` beside it, so that a folder that is refused is not made.
"""

import contextlib
import pathlib

import filelock


class BusyError(RuntimeError):
    """Another process is at work there."""


@contextlib.contextmanager
def alone_in(folder):
    """Work in a folder that no other process works in.

    Args:
        folder: path; it need not be there.

    Raises:
        BusyError: if another process works there.

    Example:

    ```python
    with alone_in("runs/pad-slocal"):
        ...  # the same command, given again meanwhile, is refused
    ```
    """
    lock = _lock(folder)
    if not _is_acquired(lock):
        raise BusyError(
            f"Another process is at work in {folder}; wait until it is done, or give another "
            "--name or --out."
        )
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def one_after_another(folder):
    """Wait until no other process fills a folder, then fill it.

    Args:
        folder: path; it need not be there.
    """
    lock = _lock(folder)
    if not _is_acquired(lock):
        print(f"another process fills {folder}; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock(folder):
    folder = pathlib.Path(folder).absolute()
    path = folder.parent / ".locks" / f"{folder.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path)


def _is_acquired(lock):
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return False
    return True
