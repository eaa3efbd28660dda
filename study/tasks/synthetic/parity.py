"""The parity problem."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, LabelTask, SyntheticTask, between
from study.tasks.partition import power, variety


@TASKS.register
class Parity(LabelTask, SyntheticTask):
    """Was the number of ones odd?

    One input, 1 or -1 with equal probability, T/2 to T steps; the class is asked for after the last. With
    ``noisy``, U[-0.2,0.2] is added to each. Bengio, Simard & Frasconi (1994), as Schmidhuber,
    Hochreiter & Bengio (2001) restate it, with T of 50 and of 500; there one sigmoid and squared
    error, here two classes and cross-entropy. Every step matters alike, and a state that changes at
    each of them must be kept exactly: gates that see the input alone cannot do it.

    Chance: two equal classes, ln 2, whatever is known but for one step: there is no level between.
    Our criterion is an accuracy of 99 %.
    """

    title: ClassVar[str] = "Parity"
    source: ClassVar[str] = (
        "Bengio, Simard & Frasconi (1994); Schmidhuber, Hochreiter & Bengio (2001)"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["parity"] = "parity"
    length: int = Field(default=50, ge=2, le=100_000, description="T, the greatest length, steps")
    noisy: bool = Field(default=False, description="noise on the inputs")
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="validation accuracy")

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 2

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return self.length // 2 - 1, self.length - 1

    @property
    def answers(self) -> tuple[str, str]:
        return "even", "odd"

    @property
    def chance_loss(self) -> float:
        return math.log(2)

    @property
    def chance_metric(self) -> float:
        return 0.5

    @property
    def solved_rule(self) -> str:
        return f"accuracy of at least {self.solved_at:.0%}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_at

    @property
    def variety(self) -> float:
        return variety(power(2, n) for n in range(self.length // 2, self.length + 1))

    def content(self, batch: Batch) -> Tensor:
        """The bits: noise makes no other string."""
        return batch.inputs.sign()

    def sample(self, generator: Generator, n: int) -> Batch:
        bits = between(0, 1, (self.length, n), generator)
        ends = between(self.length // 2, self.length, (n,), generator) - 1
        after = torch.arange(self.length)[:, None] > ends
        values = bits * 2.0 - 1
        if self.noisy:
            values += torch.rand(values.shape, generator=generator) * 0.4 - 0.2
        values[after] = 0
        bits[after] = 0
        return Batch(values[..., None], (bits.sum(0) % 2)[None], ends)
