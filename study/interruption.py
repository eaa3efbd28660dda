"""Ctrl-C that is asked for, not thrown: work ends where nothing is half done."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


@contextmanager
def first_interrupt(told: str = "", terminate: bool = False) -> Iterator[threading.Event]:
    """Set by a first Ctrl-C, and by SIGTERM where ``terminate``; a second one is a KeyboardInterrupt
    wherever the program is. ``told`` is said of the first.
    """
    asked = threading.Event()

    def ask(_: int, __: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not by print: the signal may have come in the middle of one.
        os.write(2, told.encode())

    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            # In the background Ctrl-C is ignored, and whoever calls may have another use of it.
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                _handle(signal.SIGINT, ask, handlers)
            if terminate:
                _handle(signal.SIGTERM, ask, handlers)
        yield asked


def _handle(number: signal.Signals, ask: "signal._HANDLER", handlers: ExitStack) -> None:
    handlers.callback(signal.signal, number, signal.signal(number, ask))
