"""A loss whose gradient over a short window has the wrong sign."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from study.language.forms import HandedDown, Signs
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask

UNITS, POSITIVE = 23, 10


@TASKS.register
class InfluenceBalancing(DatasetTask):
    """The first unit's state s_0 shall be 1 at every step; ½(s_0 - 1)², in the mean over the steps.

    The input is 1 at every step, and the prediction is the state itself, with nothing trained after
    it. Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time. Meant for their
    network, the cell ``influence`` with 23 units: s ← A s + θ·sign, where θ starts at ½ and is all
    that is trained. A larger θ pushes s_0 up at once and, from units farther away, down in the end. A
    window of a few steps sees the first alone, so it moves θ the wrong way at every update, whatever
    the rate; the full gradient, real-time recurrent learning and, on average, ARTBP lead to the best
    θ. See it with SGD and no clipping: ``model.cell=influence model.hidden=23 credit=truncated
    credit.window=10 train.optimizer=sgd train.lr=0.001 clip=none``. The source's rate is 1e-4; from
    0.046 on even the full gradient diverges. Norm clipping or Adam take away the size of a step,
    not its direction.

    From the zero state s_0 = θ b_t with b_t = Σ_{k<t} (A^k sign)_0, which rises to 16.5 at step 19,
    is below 0 from step 41 on and ends at 2·(10 - 13) = -6. So the best θ is Σb/Σb² and its loss, the
    floor, ½(1 - (Σb)²/(TΣb²)): at 400 steps -0.1005 and 0.281, for ever more steps -1/6 and 0. Of
    fewer than 110 steps the best θ is above 0. At 400 steps windows of up to 89 move θ = ½ up, longer
    ones down, but not to the best: 100 to 0.042, 200 to -0.081.

    The answer is a constant, so the best constant would be perfect and says nothing. Chance is
    therefore the loss of a state that stays at zero, ½. θ = ½ is at 8.1, far above it. Floor and
    criterion are those of that cell, with a margin of our own; a cell that trains more may go below
    both. There is one sequence, and the data sets are all it.
    """

    title: ClassVar[str] = "Influence balancing"
    source: ClassVar[str] = (
        "Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time"
    )
    reads: ClassVar[Literal["last", "every"]] = "every"
    reads_state: ClassVar[bool] = True
    loss_name: ClassVar[str] = "half the squared error"

    name: Literal["influence-balancing"] = "influence-balancing"
    length: int = Field(default=400, ge=2, le=10_000, description="T, steps")
    solved_within: float = Field(
        default=0.01, gt=0, lt=1, description="share of the floor by which the loss may exceed it"
    )

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
        return 0, self.length - 1

    @property
    def memorized(self) -> bool:
        return True

    @property
    def best_theta(self) -> float:
        """At which the cell ``influence`` has the loss ``floor_loss``."""
        b = pushes(self.length)
        return float(b.sum() / b.square().sum())

    @property
    def chance_loss(self) -> float:
        return 0.5

    @property
    def floor_loss(self) -> float:
        b = pushes(self.length)
        return float(0.5 * (1 - b.sum().square() / (self.length * b.square().sum())))

    @property
    def solved_loss(self) -> float:
        return (1 + self.solved_within) * self.floor_loss

    @property
    def solved_rule(self) -> str:
        return f"loss at most {self.solved_loss:.5g}, {self.solved_within:.0%} above the best θ's"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] <= self.solved_loss

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        ones = torch.ones(self.length, 1, 1)
        batch = Batch(ones, ones)
        return {"training": batch, "validation": batch, "test": batch}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * (predictions - targets).square().mean()


@lru_cache(maxsize=64)
def pushes(steps: int) -> Tensor:
    """(T,), float64: s_0 after 1, 2, … steps from the zero state at θ = 1."""
    a, sign = HandedDown().value((UNITS, UNITS)), Signs(POSITIVE).value((UNITS,))
    state, first = torch.zeros_like(sign), torch.empty(steps, dtype=torch.float64)
    for t in range(steps):
        state = a @ state + sign
        first[t] = state[0]
    return first
