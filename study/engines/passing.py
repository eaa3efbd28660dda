"""What the reference engine does to a gradient on its way back: carrying it on, and limiting it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from study.engines.columns import columns_of, entries
from study.engines.recording import Limit
from study.language.cell import Cell


def carried(state: Mapping[str, Tensor], factor: float) -> Mapping[str, Tensor]:
    """The state as a step sees it: what comes back through it is multiplied by ``factor``."""
    if factor == 1:
        return state

    def change(gradient: Tensor) -> Tensor:
        # A cut passes on nothing, not 0·∞.
        return gradient * factor if factor else torch.zeros_like(gradient)

    return {name: _through(value, change) for name, value in state.items()}


class Limiter:
    """Keeps the gradients of a cell's columns within a limit, and counts.

    Every term of a column, a product or a bias, has the column's gradient, so it is enough to limit
    each where it enters: nothing has to be rewritten as a sum first.
    """

    def __init__(
        self, cell: Cell, limit: Limit, shape: torch.Size, x: Tensor, lengths: Tensor | None
    ) -> None:
        columns = columns_of(cell)
        order = list(dict.fromkeys(columns.values()))
        self._column = {term.name: order.index(total) for term, total in columns.items()}
        self.vectors = [name for name in cell.operands if name in self._column]
        self._limit, self._shape = limit, shape
        self._counts = torch.zeros(len(x), len(order), dtype=torch.int64, device=x.device)
        self._entries = entries(cell, (len(x), *shape), lengths)
        if not order:  # then no gradient will come by to say so
            limit.store(self._counts.sum(1), 0)

    def __call__(self, name: str, value: Tensor, t: int) -> Tensor:
        """``value`` of the product or vector ``name`` at step t, with its gradient limited."""
        if name not in self._column:
            return value

        def change(gradient: Tensor) -> Tensor:
            bound = self._limit.value
            self._counts[t, self._column[name]] = (gradient.detach().abs() > bound).sum()
            self._limit.store(self._counts.sum(1), self._entries)
            return gradient.clamp(-bound, bound)

        return _through(value.expand(self._shape), change)


def _through(value: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A node of its own, so that the change meets the whole gradient and no other use of it."""
    if not value.requires_grad:
        return value
    value = value.view_as(value)
    value.register_hook(change)
    return value
