"""Ctrl-C that is asked for, not thrown: work ends where nothing is half done."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from study.base.errors import INTERRUPTED


class Stop(threading.Event):
    """Set once the program shall end. ``exit_code`` is 128 + the signal that said so."""

    exit_code = INTERRUPTED


@contextmanager
def first_interrupt(told: str = "", terminate: bool = False) -> Iterator[Stop]:
    """Set by a first Ctrl-C, and by SIGTERM and SIGHUP where ``terminate``; a second one is a
    KeyboardInterrupt wherever the program is. ``told`` is said of the first.

    A batch system sends SIGTERM; a terminal that closes sends SIGHUP, and its shell another, which
    therefore gives nothing up. Where it is ignored, as after nohup, it stays so.
    """
    asked = Stop()
    terminals = [fd for fd in (1, 2) if _is_terminal(fd)]

    def ask(number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _silence(terminals)
        if asked.is_set():
            if number == signal.SIGHUP:
                return
            raise KeyboardInterrupt
        asked.exit_code = 128 + number
        asked.set()
        # Not by print: the signal may have come in the middle of one.
        with suppress(OSError):
            os.write(2, told.encode())

    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            # In the background Ctrl-C is ignored, and whoever calls may have another use of it.
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                _handle(signal.SIGINT, ask, handlers)
            if terminate:
                _handle(signal.SIGTERM, ask, handlers)
                if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                    _handle(signal.SIGHUP, ask, handlers)
        yield asked


def _handle(number: signal.Signals, ask: "signal._HANDLER", handlers: ExitStack) -> None:
    handlers.callback(signal.signal, number, signal.signal(number, ask))


def _is_terminal(fd: int) -> bool:
    with suppress(OSError):
        return os.isatty(fd)
    return False


def _silence(terminals: list[int]) -> None:
    """A terminal that is gone takes no words; a program that goes on saying some would end by that."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in terminals:
            os.dup2(nowhere, fd)
        os.close(nowhere)
