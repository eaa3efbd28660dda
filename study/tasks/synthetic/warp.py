"""Remembering the previous letter of a text whose time is warped."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    NO_TARGET,
    Batch,
    SyntheticTask,
    between,
    cross_entropy_where_asked,
    one_hot,
)
from study.tasks.partition import power

LETTERS = 10


@TASKS.register
class Warp(SyntheticTask):
    """Letters last several steps each; at every step, which letter was before this one?

    Ten letters, T steps. Each letter lasts ``warping`` steps or, with ``variable``, a number drawn from 1
    to that; with ``padded`` it is shown at its first step only, and an eleventh symbol at the rest.
    The target is the letter before the present one, cross-entropy; nothing is asked during the first.
    Tallec & Ollivier (2018), Can recurrent neural networks warp time?, section 3: leaky units should
    solve the uniform case, and only gated ones the variable. Our reading: a letter never follows itself,
    since two equal ones could not be told from a long one, and training draws fresh sequences instead
    of 50,000 once drawn.

    Chance: ten equal letters, ln 10; that the letter is not the present one leaves nine, ln 9.
    ``accuracy`` is by step; our criterion is 99 %.
    """

    title: ClassVar[str] = "Warped letters"
    source: ClassVar[str] = "Tallec & Ollivier (2018), Can recurrent neural networks warp time?"
    reads: ClassVar[Literal["last", "every"]] = "every"
    loss_name: ClassVar[str] = "cross-entropy (nats a step)"
    metric: ClassVar[str | None] = "accuracy"
    most_tested: ClassVar[int] = 2_560

    name: Literal["warp"] = "warp"
    length: int = Field(default=500, ge=2, le=10_000, description="T, steps")
    warping: int = Field(default=10, ge=1, le=1_000, description="steps a letter lasts, or at most")
    variable: bool = Field(default=False, description="each letter lasts a random time")
    padded: bool = Field(default=False, description="a letter is shown once, then a blank")
    solved_at: float = Field(default=0.99, gt=1 / LETTERS, le=1, description="validation accuracy")

    @model_validator(mode="after")
    def _something_is_asked(self) -> "Warp":
        if self.length <= self.warping:
            raise ValueError(f"length must be above the warping, at least {self.warping + 1}")
        return self

    @property
    def input_size(self) -> int:
        return LETTERS + self.padded

    @property
    def output_size(self) -> int:
        return LETTERS

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        # To the first step of the letter that is asked for, unpadded to its last.
        if not self.padded:
            return 1, self.warping if self.variable else min(
                self.warping, self.length - self.warping
            )
        fewest = 1 if self.variable else self.warping
        return fewest, min(2 * self.warping, self.length) - 1

    @property
    def alphabet(self) -> str:
        return "ABCDEFGHIJ·"[: self.input_size]

    @property
    def answers(self) -> str:
        return "ABCDEFGHIJ"

    @property
    def chance_loss(self) -> float:
        return math.log(LETTERS)

    @property
    def chance_metric(self) -> float:
        return 1 / LETTERS

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {"the present letter known": math.log(LETTERS - 1)}

    @property
    def solved_rule(self) -> str:
        return f"accuracy of at least {self.solved_at:.0%}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_at

    @property
    def variety(self) -> float:
        return math.inf if self.variable else self._letter_strings

    @property
    def _letter_strings(self) -> float:
        return LETTERS * power(LETTERS - 1, -(-self.length // self.warping) - 1)

    def sample(self, generator: Generator, n: int) -> Batch:
        count = self.length if self.variable else -(-self.length // self.warping)
        strides = between(1, LETTERS - 1, (count, n), generator)
        strides[0] = between(0, LETTERS - 1, (n,), generator)
        letters = strides.cumsum(0) % LETTERS  # a stride of 1 to 9 never ends where it began
        times = between(1, self.warping, (count, n), generator)
        if not self.variable:
            times[:] = self.warping
        over = times.cumsum(0).T.contiguous()  # (n,count), the step at which a letter is over
        step = torch.arange(self.length).expand(n, -1).contiguous()
        index = torch.searchsorted(over, step, right=True).T  # (T,n), the present letter's
        shown = letters.gather(0, index)
        targets = letters.gather(0, (index - 1).clamp(min=0))
        targets[index == 0] = NO_TARGET
        if self.padded:
            shown[1:][index[1:] == index[:-1]] = LETTERS
        return Batch(one_hot(shown, self.input_size), targets)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_where_asked(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        # A sequence at a time, as the loss, so that chunks of a batch average to the whole.
        right, asked = predictions.argmax(-1) == targets, targets != NO_TARGET
        each = (right & asked).sum(0) / asked.sum(0).clamp(min=1)
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": float(each.double().mean()),
        }
