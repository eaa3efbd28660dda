"""The temporal order problem as Pascanu wrote it."""

import math
from collections.abc import Mapping
from itertools import product
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator

from study.tasks import TASKS
from study.tasks.base import Batch, LabelTask, SyntheticTask, between, one_hot
from study.tasks.partition import power

CHANNELS = 6
PLACES = {2: (1, 5), 3: (1, 3, 6)}  # the tenths of L in which A or B is shown


@TASKS.register
class TemporalOrderPascanu(LabelTask, SyntheticTask):
    """In which order did A and B come? Six channels and no start or end symbol.

    One-hot over A, B and the distractors c-f, L steps. A or B is at one place in the second and one in
    the sixth tenth, with ``symbols`` = 3 in the second, fourth and seventh; the end of a tenth is out.
    Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural networks, their
    code; there L is drawn anew for each mini-batch in some experiments, here it is fixed. A at the
    first place counts 0 and B 1, at the second 0 and 2, at the third 0 and 4: their class numbers.

    Chance: ln 2 a symbol. Solved, as there, when fewer than 1 % are classified wrongly.
    """

    title: ClassVar[str] = "Temporal order, Pascanu's"
    source: ClassVar[str] = "Pascanu, Mikolov & Bengio (2013), On the difficulty of training RNNs"
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["temporal-order-pascanu"] = "temporal-order-pascanu"
    length: int = Field(default=100, ge=10, le=100_000, description="L, steps")
    symbols: int = Field(default=2, ge=2, le=3, description="how many are to be remembered, 2 or 3")

    @property
    def input_size(self) -> int:
        return CHANNELS

    @property
    def output_size(self) -> int:
        return 2**self.symbols

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        tenth = self.length // 10
        return self.length - 2 * tenth, self.length - 1 - tenth

    @property
    def alphabet(self) -> str:
        return "ABcdef"

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple("".join(each[::-1]) for each in product("AB", repeat=self.symbols))

    @property
    def chance_loss(self) -> float:
        return self.symbols * math.log(2)

    @property
    def chance_metric(self) -> float:
        return 0.5**self.symbols

    @property
    def plateaus(self) -> Mapping[str, float]:
        words = {1: "one", 2: "two"}
        return {
            f"{words[known]} of the {self.symbols} symbols known": left * math.log(2)
            for known in range(1, self.symbols)
            if (left := self.symbols - known)
        }

    @property
    def solved_rule(self) -> str:
        return "less than 1% of the sequences classified wrongly"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] > 0.99

    @property
    def variety(self) -> float:
        """A lower bound: of one choice of places, which are drawn too."""
        return self.output_size * power(CHANNELS - 2, self.length - self.symbols)

    def sample(self, generator: Generator, n: int) -> Batch:
        shown = between(2, CHANNELS - 1, (self.length, n), generator)
        answer, each = torch.zeros(n, dtype=torch.long), torch.arange(n)
        for index, tenth in enumerate(PLACES[self.symbols]):
            low = tenth * self.length // 10
            place = between(low, low + self.length // 10 - 1, (n,), generator)
            value = between(0, 1, (n,), generator)
            shown[place, each] = value
            answer += value * 2**index
        return Batch(one_hot(shown, CHANNELS), answer[None])
