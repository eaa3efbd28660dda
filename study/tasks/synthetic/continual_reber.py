"""The continual embedded Reber grammar."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, HeldOut, SyntheticTask, cross_entropy, one_hot, step_chance
from study.tasks.synthetic.reber_grammar import (
    CHOICES,
    FOLLOWS,
    LEGAL,
    NODES,
    SHORTEST,
    START,
    SYMBOLS,
    NextSymbol,
    faultless_steps,
    walk,
)

STREAMS = 10  # that confirm, and that test


@TASKS.register
class ContinualReber(NextSymbol, SyntheticTask):
    """Strings of the embedded Reber grammar one after another, with nothing that resets the network.

    As the embedded Reber grammar, but a sequence is T steps of a stream of strings: after E comes the
    next B, and what was remembered must be forgotten. Gers, Schmidhuber & Cummins (2000), Learning to
    forget, who train on streams that end at the first mistake, or after a million symbols, and test
    on ten of 100,000 without a mistake. Here streams have T steps in training and validation, which
    notices that a network may have learned it; whether it has, ten streams of ``tested`` steps decide,
    and the test set is ten more. A cell state that is never forgotten grows for thousands of steps
    before it does harm: without a forget gate short streams are no trial.

    Chance: the best prediction that knows the step; the node's probabilities at each follow from the
    graph, and so does the floor, ln 2 where two symbols may follow. ``legal`` is the share of streams
    throughout which the legal successors are the most active outputs: our criterion is 99 %, so all of
    ten. ``faultless`` is the mean number of steps before a stream's first mistake.
    """

    title: ClassVar[str] = "Continual embedded Reber grammar"
    source: ClassVar[str] = "Gers, Schmidhuber & Cummins (2000), Learning to forget"

    name: Literal["continual-reber"] = "continual-reber"
    length: int = Field(
        default=200, ge=SHORTEST, le=100_000, description="T, steps of a stream that trains"
    )
    tested: int = Field(
        default=10_000, ge=SHORTEST, le=100_000, description="steps of a stream that tests"
    )
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

    @property
    def variety(self) -> float:
        at = torch.zeros(NODES, dtype=torch.float64)
        at[START] = 1  # Σp² over the ways to each node
        for _ in range(self.length):
            to = torch.zeros_like(at)
            for symbol in range(len(SYMBOLS)):
                to.index_add_(0, FOLLOWS[:, symbol], at * LEGAL[:, symbol] / CHOICES.double() ** 2)
            at = to
        return float(1 / at.sum()) if at.sum() else math.inf

    def sample(self, generator: Generator, n: int) -> Batch:
        return _streams(self.length, generator, n)

    def held_out(self, part: HeldOut, generator: Generator, n: int) -> Batch:
        if part == "validation":
            return super().held_out(part, generator, n)
        return _streams(self.tested, generator, STREAMS)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        steps = faultless_steps(predictions, targets).double().mean()
        return super().scores(predictions, targets) | {"faultless": float(steps)}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)


def _streams(steps: int, generator: Generator, n: int) -> Batch:
    symbols, _ = walk(steps + 1, generator, n)
    return Batch(one_hot(symbols[:-1], len(SYMBOLS)), symbols[1:])
