"""The delayed exclusive-or."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, between, squared_error_where_asked
from study.tasks.partition import power


@TASKS.register
class DelayedXor(SyntheticTask):
    """At every step: did the inputs d and 2d steps ago differ?

    One input, a random bit a step; from step 2d on the target is y_t = |s_{t-d} - s_{t-2d}|, before it
    nothing is asked; T steps, squared error. Engelken (2023), Gradient flossing. Several bits must
    be held at once, 2d+1 of them.

    Chance: y is 1 half of the time, so the best constant 1/2 has the loss 1/4; knowing one of the two
    bits tells nothing. ``accuracy``: the share of steps on the right side of 1/2. Our criterion: 99 %.
    """

    title: ClassVar[str] = "Delayed exclusive-or"
    source: ClassVar[str] = "Engelken (2023), Gradient flossing"
    reads: ClassVar[Literal["last", "every"]] = "every"
    loss_name: ClassVar[str] = "mean squared error a step"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["delayed-xor"] = "delayed-xor"
    length: int = Field(default=100, ge=3, le=100_000, description="T, steps")
    delay: int = Field(default=5, ge=1, le=10_000, description="d, steps")
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="validation accuracy")

    @model_validator(mode="after")
    def _something_is_asked(self) -> "DelayedXor":
        if self.length <= 2 * self.delay:
            raise ValueError(f"length must be above 2 delays, at least {2 * self.delay + 1}")
        return self

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return 2 * self.delay, 2 * self.delay

    @property
    def chance_loss(self) -> float:
        return 0.25

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
        return power(2, self.length)

    def sample(self, generator: Generator, n: int) -> Batch:
        bits, d = between(0, 1, (self.length, n), generator).float(), self.delay
        targets = torch.full((self.length, n), math.nan)
        targets[2 * d :] = (bits[d:-d] - bits[: -2 * d]).abs()
        return Batch(bits[..., None], targets[..., None])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return squared_error_where_asked(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        asked = ~targets.isnan()
        # NaN compares as false with either side: never right.
        right = torch.where(targets > 0.5, predictions > 0.5, predictions <= 0.5)
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": float((right & asked).sum() / asked.sum()),
        }
