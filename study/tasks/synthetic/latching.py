"""The latching problem."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, between

TARGET = 0.8


@TASKS.register
class Latching(SyntheticTask):
    """The sign of the first steps must survive the noise that follows.

    One input: +1 or -1, the class, for the first ``shown`` steps, then noise from N(0, √0.2), a variance
    of 0.2. The target after the last of T steps is +0.8 or -0.8, the loss the squared error. After
    Bengio, Simard & Frasconi (1994), Learning long-term dependencies with gradient descent is
    difficult, as Schmidhuber, Hochreiter & Bengio (2001) restate it. There the values of the first
    inputs are learned too; here they are fixed, as in their second variant.

    The sum of all inputs is right too, with probability Φ(n/√(s(T-n))) of n steps shown and noise of
    variance s: at T = 100 it is 75 %, at T = 10 99.4 %. Settings at which it would solve the task are
    refused: shorter sequences take a greater ``variance``.

    Chance: the best constant is 0 and its loss 0.8² = 0.64. A sequence is ``correct`` when the
    output's sign is; a constant is right for one class of the two. Our criterion: 99 %.
    """

    title: ClassVar[str] = "Latching"
    source: ClassVar[str] = (
        "Bengio, Simard & Frasconi (1994), Learning long-term dependencies with gradient descent"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error"
    metric: ClassVar[str | None] = "correct"

    name: Literal["latching"] = "latching"
    length: int = Field(default=100, ge=4, le=100_000, description="T, steps")
    shown: int = Field(default=3, ge=1, le=3, description="steps that show the class")
    variance: float = Field(default=0.2, ge=0, le=100, description="of the noise")
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="validation share correct")

    @model_validator(mode="after")
    def _the_sum_does_not_tell(self) -> "Latching":
        if self.sum_right >= self.solved_at:
            least = (self.shown / NormalDist().inv_cdf(min(self.solved_at, 0.9999))) ** 2
            least /= self.length - self.shown
            raise ValueError(
                f"variance must be above {math.ceil(100 * least) / 100:g} at length {self.length}, or the "
                f"length greater: the sum of the inputs would be right in {self.sum_right:.2%} of the "
                "sequences and meet the criterion without a latch"
            )
        return self

    @property
    def sum_right(self) -> float:
        """The probability that the sum of the inputs has the sign that is asked for."""
        spread = math.sqrt(self.variance * (self.length - self.shown))
        return NormalDist().cdf(self.shown / spread) if spread else 1.0

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
        return self.length - 1, self.length - 1

    @property
    def chance_loss(self) -> float:
        return TARGET**2

    @property
    def chance_metric(self) -> float:
        return 0.5

    @property
    def solved_rule(self) -> str:
        return f"the output's sign right on at least {self.solved_at:.0%} of the sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        sign = between(0, 1, (n,), generator) * 2.0 - 1
        values = torch.randn(self.length, n, generator=generator) * self.variance**0.5
        values[: self.shown] = sign
        return Batch(values[..., None], TARGET * sign[None, :, None])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float((predictions * targets > 0).double().mean()),
        }
