"""How the program ends: exit codes, and a user's mistake in one line."""

import errno
import os
import sys
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from study.base.errors import INTERRUPTED, UserError, one_line
from study.commands.app import app

# Importing them adds their commands, in the order of the help.
from study.commands import sweeping, cli, reporting, comparing  # noqa: F401  # isort: skip
from study.commands import judging, travelling, measuring, benchmarks  # noqa: F401  # isort: skip


def main() -> None:
    """Run the command line: a user's mistake is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a locale without φ must not end in a traceback
            stream.reconfigure(errors="replace")
    code = INTERRUPTED
    try:
        code = _run()
    except SystemExit as end:  # typer's own after Ctrl-C, rich's when a reader has left
        code = end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        pass
    sys.exit(code)


def _run() -> int:
    """The exit code, everything having been said."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:  # as it is where the shell closed it
            sys.stdout.flush()
    except UserError as error:
        return _failed(str(error))
    except TyperException as error:
        return _failed(error.format_message())
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; that is no error of ours.
        _silence()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        _silence()
        return _failed(f"cannot write {error.filename or 'what was asked for'}: {error.strerror}")
    return code if isinstance(code, int) else 0


def _failed(message: str) -> int:
    if message:  # else the help has been printed instead
        print(f"longlag: {one_line(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _silence() -> None:
    """What is still to be written to stdout goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
