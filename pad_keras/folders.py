"""Folders that are there whole or not at all."""

import contextlib
import os
import pathlib
import shutil


@contextlib.contextmanager
def replaced_folder(folder):
    """Fill a new folder and put it in the place of an old one once it is complete.

    Nothing under the folder's name changes until the block has ended without an error. A
    replacement that was killed between its two renames is taken back at the next one.

    Args:
        folder: path; its parents are created.

    Yields:
        `pathlib.Path` of the empty folder to fill.

    Example:

    ```python
    with replaced_folder("saved_models/student") as partial:
        backbone.save_to_preset(str(partial))
    ```
    """
    folder = pathlib.Path(folder)
    partial, old = (folder.with_name(folder.name + end) for end in (".partial", ".old"))
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
