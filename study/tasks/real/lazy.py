"""Sequences that stay small in memory until they are used."""

from collections.abc import Callable

import torch
from torch import Tensor

from study.tasks.base import Batch


class LazyBatch(Batch):
    """``size`` sequences, which ``make(rows)`` turns into a `Batch` when they are taken.

    One-hot text is hundreds of times as large as the text: a chunk at a time fits in memory, the
    whole may not. Asking for ``inputs`` or ``targets`` makes all of it.
    """

    def __init__(self, size: int, make: Callable[[Tensor], Batch]) -> None:
        object.__setattr__(self, "_size", size)
        object.__setattr__(self, "_make", make)

    _size: int
    _make: Callable[[Tensor], Batch]

    def __len__(self) -> int:
        return self._size

    def take(self, rows: Tensor | slice) -> Batch:
        return self._make(torch.arange(self._size)[rows])

    def to(self, dtype: torch.dtype) -> Batch:
        return self.take(slice(None)).to(dtype)

    @property
    def inputs(self) -> Tensor:
        return self.take(slice(None)).inputs

    @property
    def targets(self) -> Tensor:
        return self.take(slice(None)).targets

    @property
    def ends(self) -> Tensor | None:
        return self.take(slice(None)).ends
