"""The temporal order problem with three symbols."""

import math
from collections.abc import Mapping
from itertools import product
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    Batch,
    SyntheticTask,
    accuracy,
    between,
    cross_entropy,
    one_hot,
    outputs_within,
)
from study.tasks.temporal_order import ALPHABET, DISTRACTORS, END, NAMES, START, X, Y

FROM = (10, 33, 66)  # where a symbol's places begin, in hundredths of L


@TASKS.register
class TemporalOrder3(SyntheticTask):
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
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "correct"

    name: Literal["temporal-order-3"] = "temporal-order-3"
    length: int = Field(default=100, ge=10, le=100_000, description="L, the shortest length, steps")
    solved_at: float = Field(
        default=0.99, gt=0.125, le=1, description="validation share of correct sequences"
    )

    @property
    def input_size(self) -> int:
        return ALPHABET

    @property
    def output_size(self) -> int:
        return 8

    @property
    def steps(self) -> int:
        return self.length + self.length // 10

    @property
    def lag(self) -> tuple[int, int]:
        tenth = self.length // 10
        return self.length - 1 - 2 * tenth, self.steps - 1 - tenth

    @property
    def alphabet(self) -> str:
        return NAMES

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple("".join(each) for each in product("XY", repeat=3))

    @property
    def chance_loss(self) -> float:
        return math.log(8)

    @property
    def chance_metric(self) -> float:
        return 0.0  # eight equal outputs of 1/8 are within 0.3 of no target

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {
            "one of the three symbols known": 2 * math.log(2),
            "two of the three symbols known": math.log(2),
        }

    @property
    def solved_rule(self) -> str:
        return f"every output within 0.3 of its target on at least {self.solved_at:.0%} of the sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        each = torch.arange(n)
        symbols = between(DISTRACTORS[0], DISTRACTORS[-1], (self.steps, n), generator)
        answer = torch.zeros(n, dtype=torch.long)
        for start in FROM:
            low = start * self.length // 100
            shown = between(X, Y, (n,), generator)
            symbols[between(low, low + self.length // 10, (n,), generator), each] = shown
            answer = answer * 2 + (shown - X)
        ends = between(self.length, self.steps, (n,), generator) - 1
        symbols[0] = START
        symbols[ends, each] = END
        symbols[torch.arange(self.steps)[:, None] > ends] = -1
        return Batch(one_hot(symbols, ALPHABET), answer[None], ends)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(outputs_within(predictions, targets, 0.3).double().mean()),
            "accuracy": accuracy(predictions, targets),
        }
