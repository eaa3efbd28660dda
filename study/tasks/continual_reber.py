"""The continual embedded Reber grammar."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, cross_entropy, one_hot, step_chance
from study.tasks.reber_grammar import (
    CHOICES,
    FOLLOWS,
    LEGAL,
    NODES,
    SHORTEST,
    START,
    SYMBOLS,
    NextSymbol,
    walk,
)


@TASKS.register
class ContinualReber(NextSymbol, SyntheticTask):
    """Strings of the embedded Reber grammar one after another, with nothing that resets the network.

    As the embedded Reber grammar, but a sequence is T steps of a stream of strings: after E comes the
    next B, and what was remembered must be forgotten. Gers, Schmidhuber & Cummins (2000), Learning to
    forget, who train on streams that end at the first mistake, or after a million symbols, and test
    on ten of 100,000 without a mistake; here streams have T steps, in training and test.

    Chance: the best prediction that knows the step; the node's probabilities at each follow from the
    graph, and so does the floor, ln 2 where two symbols may follow. ``legal`` is the share of streams
    throughout which the legal successors are the most active outputs. Our criterion: 99 %.
    """

    title: ClassVar[str] = "Continual embedded Reber grammar"
    source: ClassVar[str] = "Gers, Schmidhuber & Cummins (2000), Learning to forget"

    name: Literal["continual-reber"] = "continual-reber"
    length: int = Field(default=200, ge=SHORTEST, le=100_000, description="T, steps of a stream")
    solved_at: float = Field(default=0.99, gt=0, le=1, description="validation share of streams")

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return SHORTEST - 4, self.length - 2

    @cached_property
    def levels(self) -> tuple[float, float]:
        """Chance and floor."""
        move = torch.zeros(NODES, NODES, dtype=torch.float64)  # probability of the next node
        for node in range(NODES):
            for symbol in range(len(SYMBOLS)):
                if LEGAL[node, symbol]:
                    move[node, FOLLOWS[node, symbol]] += 1 / CHOICES[node]
        symbol_given = LEGAL / CHOICES[:, None].double()
        at = torch.zeros(NODES, dtype=torch.float64)
        at[START] = 1
        shares, floor = [], 0.0
        for _ in range(self.length):
            at = at @ move
            shares.append(at @ symbol_given)
            floor += float(at @ CHOICES.double().log()) / self.length
        return step_chance(torch.stack(shares) / self.length), floor

    @property
    def solved_rule(self) -> str:
        return (
            "the legal successors are the most active outputs throughout at least "
            f"{self.solved_at:.0%} of the streams"
        )

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["legal"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        symbols, _ = walk(self.length + 1, generator, n)
        return Batch(one_hot(symbols[:-1], len(SYMBOLS)), symbols[1:])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)
