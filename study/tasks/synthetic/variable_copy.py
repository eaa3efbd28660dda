"""The copy memory problem with a gap of random length."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    NO_TARGET,
    Batch,
    between,
    cross_entropy_where_asked,
    one_hot,
    step_chance,
)
from study.tasks.synthetic.copy_memory import BLANK, MARKER, RECALLED, SYMBOLS, Copying


@TASKS.register
class VariableCopy(Copying):
    """Copy memory, but the symbols must be given back after a number of steps nobody knows before.

    As copy memory with t instead of T, where t is drawn from 1 to T anew for each sequence: ten symbols
    out of 8, t-1 blanks, a marker, ten blanks; t+20 steps. After Henaff, Szlam & LeCun (2016) as
    Tallec & Ollivier (2018) restate it; here a sequence ends with its recall. The loss is each
    sequence's mean over its own steps.

    Chance: at step s, with t unknown, the best prediction is the blank with the share of sequences that
    ask for it there, and the rest shared by the symbols. Who sees the marker but remembers nothing
    pays the mean over t of 10 ln 8/(t+20), a plateau. ``recall``, as there, counts the last ten.
    """

    title: ClassVar[str] = "Variable copy"
    source: ClassVar[str] = "Henaff, Szlam & LeCun (2016); Tallec & Ollivier (2018)"

    name: Literal["variable-copy"] = "variable-copy"
    length: int = Field(
        default=100, ge=1, le=10_000, description="T, most steps between the symbols and recall"
    )

    @property
    def lag(self) -> tuple[int, int]:
        return 1 + RECALLED, self.length + RECALLED

    @property
    def chance_loss(self) -> float:
        gaps = torch.arange(1, self.length + 1, dtype=torch.float64)
        step = torch.arange(self.steps)[:, None]
        weight = 1 / (gaps + 2 * RECALLED) / self.length
        recalling = (step >= gaps + RECALLED) & (step < gaps + 2 * RECALLED)
        symbols = (weight * recalling).sum(1, keepdim=True) / SYMBOLS
        blank = (weight * (step < gaps + RECALLED)).sum(1, keepdim=True)
        return step_chance(torch.cat([symbols.expand(-1, SYMBOLS), blank], dim=1))

    @property
    def plateaus(self) -> Mapping[str, float]:
        gaps = range(1, self.length + 1)
        level = sum(RECALLED * math.log(SYMBOLS) / (t + 2 * RECALLED) for t in gaps) / self.length
        # With a single gap there is nothing to see in the marker.
        return {"when to recall known, but no symbol": level} if self.length > 1 else {}

    @property
    def variety(self) -> float:
        return float(self.length * SYMBOLS**RECALLED)

    def sample(self, generator: Generator, n: int) -> Batch:
        symbols = between(0, SYMBOLS - 1, (RECALLED, n), generator)
        gaps, each = between(1, self.length, (n,), generator), torch.arange(n)
        ends = gaps + 2 * RECALLED - 1
        after = torch.arange(self.steps)[:, None] > ends
        shown = torch.full((self.steps, n), BLANK)
        shown[:RECALLED] = symbols
        shown[RECALLED + gaps - 1, each] = MARKER
        shown[after] = -1
        targets = torch.full((self.steps, n), BLANK)
        recalled = ends - RECALLED + 1 + torch.arange(RECALLED)[:, None]
        targets.scatter_(0, recalled, symbols)
        targets[after] = NO_TARGET
        return Batch(one_hot(shown, self.input_size), targets, ends)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_where_asked(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        recalled = (targets != NO_TARGET) & (targets != BLANK)
        right = (predictions.argmax(-1) == targets) & recalled
        return {
            "loss": float(self.loss(predictions, targets)),
            "recall": float(right.sum() / recalled.sum().clamp(min=1)),
        }
