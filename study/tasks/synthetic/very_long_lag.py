"""A symbol to be remembered over a long and unpredictable stretch of distractors."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    Batch,
    SyntheticTask,
    between,
    cross_entropy,
    one_hot,
    outputs_within,
)
from study.tasks.partition import power

MOST_EXTRA = 99  # k of the suffix; more come with probability 0.9^100 = 2.7e-5 and are not drawn


@TASKS.register
class VeryLongLag(SyntheticTask):
    """After many distractors comes a trigger, and then the second symbol is asked for: x or y?

    One-hot over p distractors, e, b, x and y. A sequence is b, then x or y, then q+k distractors, then
    the trigger e; k is the number of draws, with probability 9/10 each, before the first failure. So the
    lag is q+1 at least and q+10 on average. Hochreiter & Schmidhuber (1997), experiment 2c; its sets
    have distractors up to a_q, read as a_p, the number that its table varies. Here with softmax and
    cross-entropy, and k ≤ 99.

    Chance: two equal classes, ln 2. A sequence is ``correct`` when both outputs are within 0.2 of their
    targets; the source asks it of 10,000 in a row, here it is asked of all that are held out.
    """

    title: ClassVar[str] = "Very long lag among distractors (2c)"
    source: ClassVar[str] = "Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 2c"
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "correct"
    most_tested: ClassVar[int] = 2_560

    name: Literal["very-long-lag"] = "very-long-lag"
    length: int = Field(default=50, ge=1, le=10_000, description="q, the least lag less 1, steps")
    distractors: int = Field(default=50, ge=1, le=1_000, description="p, how many there are")

    @property
    def input_size(self) -> int:
        return self.distractors + 4

    @property
    def output_size(self) -> int:
        return 2

    @property
    def steps(self) -> int:
        return self.length + MOST_EXTRA + 3

    @property
    def lag(self) -> tuple[int, int]:
        return self.length + 1, self.length + MOST_EXTRA + 1

    @property
    def alphabet(self) -> tuple[str, ...]:
        letters = "acdfghijklmnopqrstuvwz"
        return (*(letters[i % len(letters)] for i in range(self.distractors)), "E", "B", "X", "Y")

    @property
    def answers(self) -> str:
        return "XY"

    @property
    def chance_loss(self) -> float:
        return math.log(2)

    @property
    def chance_metric(self) -> float:
        return 0.0  # outputs of 1/2 are not within 0.2 of their targets

    @property
    def solved_rule(self) -> str:
        return "both outputs within 0.2 of their targets on all sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] == 1

    @property
    def variety(self) -> float:
        each = (0.9**k * 0.1 for k in range(MOST_EXTRA + 1))
        met = sum(p * p / power(self.distractors, self.length + k) for k, p in enumerate(each))
        return 2 / met if met else math.inf

    def sample(self, generator: Generator, n: int) -> Batch:
        p, each = self.distractors, torch.arange(n)
        trigger, begin, first = p, p + 1, p + 2
        symbols = between(0, p - 1, (self.steps, n), generator)
        answer = between(0, 1, (n,), generator)
        # P(k ≥ j) = 0.9^j, cut off by drawing from the part of [0,1] that k ≤ MOST_EXTRA leaves.
        uniform = torch.rand(n, generator=generator, dtype=torch.float64)
        kept = 1 - uniform * (1 - 0.9 ** (MOST_EXTRA + 1))
        extra = (kept.log() / math.log(0.9)).floor().long().clamp(max=MOST_EXTRA)
        ends = self.length + extra + 2
        symbols[0] = begin
        symbols[1] = first + answer
        symbols[ends, each] = trigger
        symbols[torch.arange(self.steps)[:, None] > ends] = -1
        return Batch(one_hot(symbols, self.input_size), answer[None], ends)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(outputs_within(predictions, targets, 0.2).double().mean()),
        }
