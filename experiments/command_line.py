"""How a command ends that cannot go on."""

import contextlib
import os
import sys

from experiments.locks import BusyError

_TRACEBACK = "PAD_KERAS_TRACEBACK"
# What a wrong argument, a broken file, a full disk or another process may cause. Their messages
# say what would do; whatever else is raised is a mistake of ours, and shows where it came from.
_EXPLAINED = (ValueError, OSError, BusyError)
_INTERRUPTED = 130


@contextlib.contextmanager
def explained_errors():
    """End the process with an error's message alone, where that says what to do.

    With `PAD_KERAS_TRACEBACK=1` in the environment errors are raised as they are.

    Raises:
        SystemExit: in place of such an error, and of Ctrl-C.

    Example:

    ```python
    if __name__ == "__main__":
        with explained_errors():
            main()
    ```
    """
    if os.environ.get(_TRACEBACK):
        yield
        return
    try:
        yield
    except _EXPLAINED as error:
        sys.exit(f"\nerror: {error}\n({_TRACEBACK}=1 shows where it was found)")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(_INTERRUPTED)
