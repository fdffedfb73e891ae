"""How a command ends that cannot go on."""

import contextlib
import os
import sys
import tempfile
import traceback

from experiments.locks import BusyError

# What a wrong argument, a broken file, a full disk, a missing package or another process causes:
# the message says what would do.
_EXPLAINED = (ValueError, OSError, ImportError, BusyError)
_INTERRUPTED = 130


@contextlib.contextmanager
def explained_errors():
    """End the process with an error's message, and where it was found in a file.

    Other errors are raised as they are.

    Raises:
        SystemExit: in place of such an error, and of Ctrl-C.

    Example:

    ```python
    if __name__ == "__main__":
        with explained_errors():
            main()
    ```
    """
    try:
        yield
    except _EXPLAINED as error:
        sys.exit(f"\nerror: {error}\n(where it was found: {_written_traceback()})")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def _written_traceback():
    """Path of a new file with the traceback of the error at hand."""
    handle, path = tempfile.mkstemp(prefix="pad-keras-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        traceback.print_exc(file=file)
    return path
