"""The copy memory problem."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, accuracy, between, cross_entropy, one_hot

SYMBOLS = 8
RECALLED = 10
BLANK, MARKER = SYMBOLS, SYMBOLS + 1


class Copying(SyntheticTask):
    """Ten symbols out of 8 are given back in order after a marker; blanks before and between.

    ``recall``, the accuracy on the last ten steps of a sequence, is what counts.
    """

    reads: ClassVar[Literal["last", "every"]] = "every"
    loss_name: ClassVar[str] = "cross-entropy (nats a step)"
    metric: ClassVar[str | None] = "recall"

    length: int
    solved_at: float = Field(default=0.99, gt=1 / SYMBOLS, le=1, description="validation recall")

    @property
    def input_size(self) -> int:
        return SYMBOLS + 2

    @property
    def output_size(self) -> int:
        return SYMBOLS + 1

    @property
    def steps(self) -> int:
        return self.length + 2 * RECALLED

    @property
    def variety(self) -> float:
        return float(SYMBOLS**RECALLED)

    @property
    def alphabet(self) -> str:
        return "ABCDEFGH·!"

    @property
    def answers(self) -> str:
        return "ABCDEFGH·"

    @property
    def chance_metric(self) -> float:
        return 1 / SYMBOLS  # of who knows when to recall; who does not can only do worse

    @property
    def solved_rule(self) -> str:
        return f"at least {self.solved_at:.0%} of the recalled symbols right"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["recall"] >= self.solved_at


@TASKS.register
class CopyMemory(Copying):
    """Ten symbols are shown, T steps later they must be given back in order.

    Input, one-hot over 10: ten symbols out of 8, T-1 blanks, a marker, ten blanks; T+20 steps. The
    target is the blank for T+10 steps, then the ten symbols; cross-entropy over 9 classes, averaged
    over all steps. Arjovsky, Shah & Bengio (2016), after Hochreiter & Schmidhuber (1997).

    Chance: without memory the blanks are predictable and each of the ten symbols costs ln 8:
    10 ln 8/(T+20) nats. Blanks inflate the accuracy over all steps, so ``recall``, the accuracy on
    the last ten, is what counts; its chance is 1/8.
    """

    title: ClassVar[str] = "Copy memory"
    source: ClassVar[str] = (
        "Arjovsky, Shah & Bengio (2016), Unitary evolution recurrent neural networks"
    )

    name: Literal["copy"] = "copy"
    length: int = Field(
        default=100, ge=1, le=100_000, description="T, steps between the symbols and their recall"
    )

    @property
    def lag(self) -> tuple[int, int]:
        return self.length + RECALLED, self.length + RECALLED

    @property
    def chance_loss(self) -> float:
        return RECALLED * math.log(SYMBOLS) / self.steps

    def sample(self, generator: Generator, n: int) -> Batch:
        symbols = between(0, SYMBOLS - 1, (RECALLED, n), generator)
        shown = torch.full((self.steps, n), BLANK)
        shown[:RECALLED] = symbols
        shown[RECALLED + self.length - 1] = MARKER
        targets = torch.full((self.steps, n), BLANK)
        targets[-RECALLED:] = symbols
        return Batch(one_hot(shown, self.input_size), targets)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        recall = accuracy(predictions[-RECALLED:], targets[-RECALLED:])
        return {"loss": float(self.loss(predictions, targets)), "recall": recall}
