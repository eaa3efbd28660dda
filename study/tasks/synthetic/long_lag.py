"""Sequences whose last element is their first, with and without regularities between."""

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
    cross_entropy_where_asked,
    one_hot,
    outputs_within,
)
from study.tasks.partition import power


@TASKS.register
class LongLag(SyntheticTask):
    """Predict each next symbol; the last one is the first, p steps ago.

    One-hot over p+1 symbols. Experiment 2a of Hochreiter & Schmidhuber (1997): one of two sequences,
    (y, a1 … a(p-1), y) or (x, a1 … a(p-1), x), each with probability 1/2. With ``regular`` = false,
    experiment 2b: between them p-1 symbols drawn from a1 … a(p-1). The last symbol is predicted, not
    shown: p steps. Here with softmax and cross-entropy.

    Chance (2a): all but the last symbol follow from the step, so ln 2/p. 2b: the p-1 others cannot be
    foreseen, ((p-1) ln(p-1) + ln 2)/p; without the ln 2 it is the floor. A sequence is ``correct``
    when every output is within 0.25 of its target, in 2a at all steps, in 2b at the last; the source
    asks it of 10,000 in a row, here it is asked of all that are held out.
    """

    title: ClassVar[str] = "Long lag, first symbol last (2a, 2b)"
    source: ClassVar[str] = (
        "Hochreiter & Schmidhuber (1997), Long short-term memory, experiments 2a and 2b"
    )
    reads: ClassVar[Literal["last", "every"]] = "every"
    causal: ClassVar[bool] = True
    loss_name: ClassVar[str] = "cross-entropy (nats a step)"
    metric: ClassVar[str | None] = "correct"
    most_tested: ClassVar[int] = 2_560  # as the paper's; p² numbers each

    name: Literal["long-lag"] = "long-lag"
    length: int = Field(
        default=100, ge=3, le=1_000, description="p, steps from the first symbol to the last"
    )
    regular: bool = Field(default=True, description="2a, the same between; false: 2b, random")

    @property
    def input_size(self) -> int:
        return self.length + 1

    @property
    def output_size(self) -> int:
        return self.length + 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return self.length - 1, self.length - 1

    @property
    def alphabet(self) -> tuple[str, ...]:
        return (*(chr(ord("a") + i % 23) for i in range(self.length - 1)), "X", "Y")

    @property
    def answers(self) -> tuple[str, ...]:
        return self.alphabet

    @property
    def variety(self) -> float:
        return 2.0 if self.regular else 2 * power(self.length - 1, self.length - 1)

    @property
    def floor_loss(self) -> float:
        others = self.length - 1
        return 0.0 if self.regular else others * math.log(others) / self.length

    @property
    def chance_loss(self) -> float:
        return self.floor_loss + math.log(2) / self.length

    @property
    def chance_metric(self) -> float:
        return 0.0  # outputs of 1/2 are not within 0.25 of their targets

    @property
    def solved_rule(self) -> str:
        where = "at every step" if self.regular else "at the last step"
        return f"every output within 0.25 of its target {where} of all sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] == 1

    def sample(self, generator: Generator, n: int) -> Batch:
        p = self.length
        string = torch.empty(p + 1, n, dtype=torch.long)
        string[0] = string[p] = between(p - 1, p, (n,), generator)
        if self.regular:
            string[1:p] = torch.arange(p - 1)[:, None]
        else:
            string[1:p] = between(0, p - 2, (p - 1, n), generator)
        return Batch(one_hot(string[:-1], p + 1), string[1:])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_where_asked(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        asked = slice(None) if self.regular else slice(-1, None)
        right = outputs_within(predictions[asked], targets[asked], 0.25).all(dim=0)
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(right.double().mean()),
        }
