"""Denormal numbers, those below the smallest normal one, read as zero for a while.

In float32 they begin at 1.2e-38, in float64 at 2.2e-308. A processor takes a hundred times as long
over one of them, so that without this the time of an update would tell how far its gradient vanishes.
The kernels of the native engine do the same by themselves, see ``native/headers/calls.h``.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ENVIRONMENT_BYTES = 256  # C's fenv_t takes 8 to 32 of them, as the processor and library have it


@contextmanager
def flushed() -> Iterator[None]:
    """Within, arithmetic reads and writes denormal numbers as zero, where the processor can.

    The mode is the calling thread's, and on leaving it is what it was, errors included. So there must
    be no ``yield`` to a caller within: for a function that yields none, it serves as a decorator.
    Nothing is changed where torch computes with several threads: they would not be flushed, and those
    that start within would stay so ever after.
    """
    if torch.get_num_threads() > 1:
        yield
        return
    environment = (ctypes.c_char * _ENVIRONMENT_BYTES)()
    library = ctypes.CDLL(None)  # torch can set the mode, but does not say what it was
    library.fegetenv(environment)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        library.fesetenv(environment)
