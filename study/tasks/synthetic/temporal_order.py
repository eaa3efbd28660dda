"""The temporal order problem of 1997, and its version with two symbols."""

import math
from collections.abc import Mapping
from itertools import product
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    Batch,
    LabelTask,
    SyntheticTask,
    accuracy,
    between,
    one_hot,
    outputs_within,
)
from study.tasks.partition import power

START, END, X, Y = 0, 1, 2, 3
DISTRACTORS = (4, 5, 6, 7)
NAMES = "EBXYabcd"
WORDS = {1: "one", 2: "two", 3: "three"}


class SymbolOrder(LabelTask, SyntheticTask):
    """In which order did some symbols, each X or Y, come? A class for every order.

    One-hot sequences over 8 symbols, L to 1.1 L long: E first, B last, distractors a-d between, but
    X or Y at ``places`` of them. The class is asked for after B. A place known takes off ln 2.
    """

    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "correct"
    places: ClassVar[int]

    length: int = Field(default=100, ge=10, le=100_000, description="L, the shortest length, steps")
    solved_at: float

    @property
    def input_size(self) -> int:
        return len(NAMES)

    @property
    def output_size(self) -> int:
        return 2**self.places

    @property
    def steps(self) -> int:
        return self.length + self.length // 10

    @property
    def lag(self) -> tuple[int, int]:
        tenth = self.length // 10
        return self.length - 1 - 2 * tenth, self.steps - 1 - tenth

    @property
    def alphabet(self) -> str:
        return NAMES

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple("".join(each) for each in product("XY", repeat=self.places))

    @property
    def chance_loss(self) -> float:
        return math.log(self.output_size)

    @property
    def chance_metric(self) -> float:
        return 0.0  # equal outputs of 1/4 or 1/8 are within 0.3 of no target

    @property
    def plateaus(self) -> Mapping[str, float]:
        known = {k: f"{WORDS[k]} of the {WORDS[self.places]} symbols known" for k in WORDS}
        return {known[k]: (self.places - k) * math.log(2) for k in range(1, self.places)}

    def partly(self, batch: Batch) -> Mapping[str, Tensor]:
        shown = batch.inputs[..., (X, Y)]
        known = shown[shown.sum(-1).argmax(0), torch.arange(len(batch))]
        return {f"the first of the {WORDS[self.places]} symbols known": known[None]}

    @property
    def solved_rule(self) -> str:
        return f"every output within 0.3 of its target on at least {self.solved_at:.0%} of the sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] >= self.solved_at

    @property
    def variety(self) -> float:
        """A lower bound: of one choice of places, which are drawn too."""
        return self.output_size * power(len(DISTRACTORS), self.length - 2 - self.places)

    def distractors(self, generator: Generator, n: int) -> Tensor:
        return between(DISTRACTORS[0], DISTRACTORS[-1], (self.steps, n), generator)

    def ended(self, symbols: Tensor, answer: Tensor, generator: Generator) -> Batch:
        """Sequences (T,B) with their start and, after L to 1.1 L steps, their end."""
        n = symbols.shape[1]
        ends = between(self.length, self.steps, (n,), generator) - 1
        symbols[0] = START
        symbols[ends, torch.arange(n)] = END
        symbols[torch.arange(self.steps)[:, None] > ends] = -1
        return Batch(one_hot(symbols, len(NAMES)), answer[None], ends)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(outputs_within(predictions, targets, 0.3).double().mean()),
            "accuracy": accuracy(predictions, targets),
        }


@TASKS.register
class TemporalOrder(SymbolOrder):
    """In which order did X and Y come: XX, XY, YX or YY?

    One-hot sequences over 8 symbols, L to 1.1 L long: E first, B last, distractors a-d between, but
    X or Y at one place in the second tenth and one in the sixth tenth (at L = 100: t1 in 10-20, t2 in
    50-60, counted from 0). The class is asked for after B. Hochreiter & Schmidhuber (1997),
    experiment 6a; here with softmax and cross-entropy instead of sigmoids and squared error.

    Chance: four equal classes, ln 4; knowing one of the two symbols leaves ln 2. A sequence is
    ``correct``, as in the source, when every output is within 0.3 of its target.
    """

    title: ClassVar[str] = "Temporal order, two symbols (6a)"
    source: ClassVar[str] = "Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 6a"
    places: ClassVar[int] = 2

    name: Literal["temporal-order"] = "temporal-order"
    solved_at: float = Field(
        default=0.99, gt=0.25, le=1, description="validation share of correct sequences"
    )

    def sample(self, generator: Generator, n: int) -> Batch:
        tenth, each = self.length // 10, torch.arange(n)
        symbols = self.distractors(generator, n)
        first, second = (between(X, Y, (n,), generator) for _ in range(2))
        symbols[between(tenth, 2 * tenth, (n,), generator), each] = first
        symbols[between(5 * tenth, 6 * tenth, (n,), generator), each] = second
        return self.ended(symbols, (first - X) * 2 + (second - X), generator)
