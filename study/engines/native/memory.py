"""Large arrays that are used again.

A pass needs tens of megabytes and the next one the same again. Fresh from the system their pages
are filled in one by one at first touch, which takes as long as a fifth of the pass; so what is
released is kept for the next request. A tensor gives its block back when its last reference goes,
whoever holds it, and blocks are private to a process.
"""

import mmap
import os
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from math import prod

import numpy as np
import torch
from torch import Tensor

SMALLEST_BYTES = 1 << 20  # below, the allocator keeps memory by itself
KEPT_BYTES = 256 << 20  # at most, in a process, while nothing uses it
_MOST_WASTE = 1.25  # a block may be this much larger than asked for


class _Blocks:
    def __init__(self) -> None:
        # Reentrant: a collection of garbage inside may release another block.
        self._lock = threading.RLock()
        self._free: list[np.ndarray] = []

    def take(self, size: int) -> np.ndarray:
        with self._lock:
            fitting = [b for b in self._free if size <= b.nbytes <= size * _MOST_WASTE]
            if fitting:
                block = min(fitting, key=lambda b: b.nbytes)
                self._free = [b for b in self._free if b is not block]
                return block
        return _map(size)

    def give(self, block: np.ndarray) -> None:
        with self._lock:
            self._free.append(block)
            while sum(b.nbytes for b in self._free) > KEPT_BYTES:
                self._free.pop(0)


def _map(size: int) -> np.ndarray:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype=np.uint8)


_blocks = _Blocks()


def _after_fork() -> None:
    global _blocks
    _blocks = _Blocks()  # another thread of the parent may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """As ``torch.empty`` on the CPU."""
    size = prod(shape) * dtype.itemsize
    if size < SMALLEST_BYTES:
        return torch.empty(*shape, dtype=dtype)
    block = _blocks.take(size)
    lease = block[:size]
    weakref.finalize(lease, _blocks.give, block).atexit = False
    return torch.from_numpy(lease).view(dtype).view(*shape)
