"""The temporal order problem with two symbols."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, accuracy, cross_entropy

START, END, X, Y = 0, 1, 2, 3
DISTRACTORS = (4, 5, 6, 7)
ALPHABET = 8
NAMES = "EBXYabcd"


@TASKS.register
class TemporalOrder(SyntheticTask):
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
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "correct"

    name: Literal["temporal-order"] = "temporal-order"
    length: int = Field(default=100, ge=10, le=100_000, description="L, the shortest length, steps")
    solved_at: float = Field(
        default=0.99, gt=0.25, le=1, description="validation share of correct sequences"
    )

    @property
    def input_size(self) -> int:
        return ALPHABET

    @property
    def output_size(self) -> int:
        return 4

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
        return "XX", "XY", "YX", "YY"

    @property
    def chance_loss(self) -> float:
        return math.log(4)

    @property
    def chance_metric(self) -> float:
        return 0.0  # four equal outputs of 1/4 are within 0.3 of no target

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {"one of the two symbols known": math.log(2)}

    @property
    def solved_rule(self) -> str:
        return f"every output within 0.3 of its target on at least {self.solved_at:.0%} of the sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        def between(low: int, high: int, shape: tuple[int, ...] = (n,)) -> Tensor:
            return torch.randint(low, high + 1, shape, generator=generator)

        tenth, each = self.length // 10, torch.arange(n)
        symbols = between(DISTRACTORS[0], DISTRACTORS[-1], (self.steps, n))
        first, second = between(X, Y), between(X, Y)
        symbols[between(tenth, 2 * tenth), each] = first
        symbols[between(5 * tenth, 6 * tenth), each] = second
        ends = between(self.length, self.steps) - 1
        symbols[0] = START
        symbols[ends, each] = END
        shown = functional.one_hot(symbols, ALPHABET).float()
        shown[torch.arange(self.steps)[:, None] > ends] = 0
        return Batch(shown, ((first - X) * 2 + (second - X))[None], ends)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        wanted = functional.one_hot(targets, 4)
        within = (predictions.softmax(-1) - wanted).abs().amax(-1) < 0.3
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(within.double().mean()),
            "accuracy": accuracy(predictions, targets),
        }
