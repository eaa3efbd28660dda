"""The adding problem."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask


@TASKS.register
class Adding(SyntheticTask):
    """Two of T numbers are marked; output their sum after the last step.

    Inputs: a value from U[0,1] and a marker, which is 1 once in the first half and once in the
    second half of the sequence, else 0. The target is the sum of the two marked values, the loss the
    squared error. The version of Arjovsky, Shah & Bengio (2016), Unitary evolution recurrent neural
    networks, after Hochreiter & Schmidhuber (1997); T is fixed.

    Chance: the best constant is 1 and its loss Var(U+U) = 2/12 = 1/6 (the widely copied 0.1767 is
    wrong). Knowing one of the two values leaves the other's variance, 1/12.
    """

    title: ClassVar[str] = "Adding problem"
    source: ClassVar[str] = (
        "Arjovsky, Shah & Bengio (2016); Hochreiter & Schmidhuber (1997), exp. 4"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error"

    name: Literal["adding"] = "adding"
    length: int = Field(default=100, ge=2, le=100_000, description="T, steps")
    solved_below: float = Field(default=0.01, gt=0, lt=1 / 6, description="validation MSE")

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def chance_loss(self) -> float:
        return 1 / 6  # Var(U+U)

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {"one of the two values known": 1 / 12}

    @property
    def solved_rule(self) -> str:
        return f"mean squared error below {self.solved_below:g}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_below

    def sample(self, generator: Generator, n: int) -> Batch:
        half = self.length // 2
        values = torch.rand(self.length, n, generator=generator)
        first = torch.randint(0, half, (n,), generator=generator)
        second = torch.randint(half, self.length, (n,), generator=generator)
        each = torch.arange(n)
        markers = torch.zeros(self.length, n)
        markers[first, each] = 1
        markers[second, each] = 1
        target = values[first, each] + values[second, each]
        return Batch(torch.stack([values, markers], dim=-1), target[None, :, None])

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions, targets)
