"""The random permutation problem."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Generator

from study.tasks import TASKS
from study.tasks.base import Batch, LabelTask, SyntheticTask, between, one_hot
from study.tasks.partition import power

SYMBOLS = 100


@TASKS.register
class Permutation(LabelTask, SyntheticTask):
    """A hundred symbols; the first, one of two, must be told after T steps of the other 98.

    One-hot over 100: the first of T steps is symbol 1 or 2, the rest are drawn from the other 98. The
    target after the last step is the first symbol, one of 100 classes; cross-entropy. Martens &
    Sutskever (2011), Learning recurrent neural networks with Hessian-free optimization; the reading
    of Pascanu, Mikolov & Bengio's (2013) code, which asks for the last symbol alone and draws with
    repetition, so that nothing is permuted.

    Chance: two classes of the hundred, ln 2, and an accuracy of 1/2. Solved, as in the code's paper,
    when fewer than 1 % are wrong.
    """

    title: ClassVar[str] = "Random permutation"
    source: ClassVar[str] = "Martens & Sutskever (2011); Pascanu, Mikolov & Bengio (2013)"
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"
    most_tested: ClassVar[int] = 2_560

    name: Literal["permutation"] = "permutation"
    length: int = Field(default=100, ge=2, le=10_000, description="T, steps")

    @property
    def input_size(self) -> int:
        return SYMBOLS

    @property
    def output_size(self) -> int:
        return SYMBOLS

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return self.length - 1, self.length - 1

    @property
    def alphabet(self) -> tuple[str, ...]:
        return ("X", "Y", *(chr(ord("a") + i % 26) for i in range(SYMBOLS - 2)))

    @property
    def answers(self) -> tuple[str, ...]:
        return self.alphabet

    @property
    def chance_loss(self) -> float:
        return math.log(2)

    @property
    def chance_metric(self) -> float:
        return 0.5

    @property
    def solved_rule(self) -> str:
        return "less than 1% of the sequences classified wrongly"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] > 0.99

    @property
    def variety(self) -> float:
        return 2 * power(SYMBOLS - 2, self.length - 1)

    def sample(self, generator: Generator, n: int) -> Batch:
        shown = between(2, SYMBOLS - 1, (self.length, n), generator)
        shown[0] = between(0, 1, (n,), generator)
        return Batch(one_hot(shown, SYMBOLS), shown[:1].clone())
