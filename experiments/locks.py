"""Locks between processes that share a folder; the system frees them when a process dies."""

import contextlib
import pathlib

import filelock


class BusyError(RuntimeError):
    """Another process is at work there."""


@contextlib.contextmanager
def alone_in(folder):
    """Work in a folder that no other process works in.

    Args:
        folder: path; created if need be.

    Raises:
        BusyError: if another process works there.

    Example:

    ```python
    with alone_in("runs/pad-slocal"):
        ...  # the same command, given again meanwhile, is refused
    ```
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(pathlib.Path(folder) / "run.lock", blocking=False))
        except filelock.Timeout:
            raise BusyError(
                f"Another process is at work in {folder}; wait until it is done, or give another "
                "--name or --out."
            ) from None
        yield


@contextlib.contextmanager
def one_after_another(folder):
    """Wait until no other process fills a folder, then fill it.

    Args:
        folder: path; the lock is a file beside it.
    """
    folder = pathlib.Path(folder)
    with _lock(folder.with_name(f"{folder.name}.lock"), blocking=True):
        yield


def _lock(path, blocking):
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path, blocking=blocking)
