"""``python -m study`` is ``longlag``."""

import signal
import sys

from study.base.errors import INTERRUPTED


def main() -> None:
    """Run the command line as a process of its own, which no number of Ctrl-C ends in a traceback."""
    sys.unraisablehook = _all_but_interrupts
    try:
        from study.commands.entry import main as run  # takes a moment

        run()
    except KeyboardInterrupt:
        code: object = INTERRUPTED
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    if code == INTERRUPTED:
        # One more must not stop what Python does at its end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)  # type: ignore[arg-type]


def _all_but_interrupts(raised: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that came while Python cleared something away is lost there; nobody is helped by its
    place."""
    if not issubclass(raised.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(raised)


if __name__ == "__main__":
    from longlag import main as checked

    checked()
