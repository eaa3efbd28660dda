"""The temporal order problem with three symbols."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator

from study.tasks import TASKS
from study.tasks.base import Batch, between
from study.tasks.synthetic.temporal_order import SymbolOrder, X, Y

FROM = (10, 33, 66)  # where a symbol's places begin, in hundredths of L


@TASKS.register
class TemporalOrder3(SymbolOrder):
    """In which order did three symbols, each X or Y, come: one of eight classes.

    As temporal order with two symbols, with three places: at L = 100, t1 in 10-20, t2 in 33-43, t3 in
    66-76, counted from 0; lengths L to 1.1 L. Hochreiter & Schmidhuber (1997), experiment 6b; here
    with softmax and cross-entropy instead of sigmoids and squared error.

    Chance: eight equal classes, ln 8; each symbol known takes off ln 2. A sequence is ``correct``, as
    in the source, when every output is within 0.3 of its target; the source stops when 2,000 in a row
    are.
    """

    title: ClassVar[str] = "Temporal order, three symbols (6b)"
    source: ClassVar[str] = "Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 6b"
    places: ClassVar[int] = 3

    name: Literal["temporal-order-3"] = "temporal-order-3"
    solved_at: float = Field(
        default=0.99, gt=0.125, le=1, description="validation share of correct sequences"
    )

    def sample(self, generator: Generator, n: int) -> Batch:
        each = torch.arange(n)
        symbols = self.distractors(generator, n)
        answer = torch.zeros(n, dtype=torch.long)
        for start in FROM:
            low = start * self.length // 100
            shown = between(X, Y, (n,), generator)
            symbols[between(low, low + self.length // 10, (n,), generator), each] = shown
            answer = answer * 2 + (shown - X)
        return self.ended(symbols, answer, generator)
