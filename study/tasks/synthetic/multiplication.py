"""The multiplication problem."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask
from study.tasks.synthetic.marked import draw, first_ignored, first_marked, lags, longest


@TASKS.register
class Multiplication(SyntheticTask):
    """Two of T numbers from U[0,1] are marked; output their product after the last step.

    "hochreiter", Hochreiter & Schmidhuber (1997), experiment 5: inputs as in the adding problem's
    version of that name, but a value marked at the first step counts 1. "pascanu", the code of Pascanu,
    Mikolov & Bengio (2013): inputs as in the adding problem's version of that name.

    Chance: E[xy] = 1/4 and E[x²y²] = 1/9, so Var = 7/144; knowing one leaves E[x²] Var(y) = 1/36. With
    probability p a value of "hochreiter" counts 1: Var = (1-p)/9 + p/3 - ((1-p)/4 + p/2)².

    Solved: "hochreiter" when fewer than 13 in 2,000 have an absolute error of 0.04 or more (the paper's
    stricter level); "pascanu" when less than 1 % have a squared error above 0.04.
    """

    title: ClassVar[str] = "Multiplication problem"
    source: ClassVar[str] = (
        "Hochreiter & Schmidhuber (1997), Long short-term memory, exp. 5; Pascanu et al. (2013)"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error"
    metric: ClassVar[str | None] = "correct"

    name: Literal["multiplication"] = "multiplication"
    length: int = Field(default=100, ge=10, le=100_000, description="T, the shortest length, steps")
    version: Literal["hochreiter", "pascanu"] = Field(
        default="hochreiter", description="hochreiter or pascanu"
    )

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return longest(self.version, self.length)

    @property
    def channels(self) -> Sequence[str]:
        return ("value", "marker")

    @property
    def lag(self) -> tuple[int, int]:
        return lags(self.version, self.length)

    @property
    def _alone(self) -> float:
        """The probability that one of the two values counts 1."""
        if self.version == "pascanu":
            return 0.0
        one, two = first_ignored(self.length)
        return one + (1 - one) * two

    @property
    def _mean(self) -> float:
        return (1 - self._alone) / 4 + self._alone / 2

    @property
    def chance_loss(self) -> float:
        return (1 - self._alone) / 9 + self._alone / 3 - self._mean**2

    @property
    def plateaus(self) -> Mapping[str, float]:
        level = 1 / 36
        if self.version == "hochreiter":
            # X1 known: 1 with probability one; else U, and X2 is 1 with probability two.
            one, two = first_ignored(self.length)
            left = (1 + 2 * two) / 3 - ((1 + two) / 2) ** 2
            level = one / 12 + (1 - one) / 3 * left
        return {"one of the two values known": level}

    def partly(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"one of the two values known": first_marked(batch)}

    @property
    def chance_metric(self) -> float:
        bound = 0.2 if self.version == "pascanu" else 0.04

        def below(z: float) -> float:
            return z - z * math.log(z)  # P(xy < z)

        low, high = self._mean - bound, self._mean + bound
        return (1 - self._alone) * (below(high) - below(low)) + self._alone * 2 * bound

    @property
    def solved_rule(self) -> str:
        if self.version == "pascanu":
            return "a squared error above 0.04 in less than 1% of the sequences"
        return "an absolute error of 0.04 or more in fewer than 13 of 2,000 sequences"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["correct"] > (0.99 if self.version == "pascanu" else 1 - 13 / 2000)

    def sample(self, generator: Generator, n: int) -> Batch:
        marked = draw(self.version, self.length, 0.0, 1.0, generator, n)
        return marked.asking(marked.first * marked.second)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        error = (predictions - targets).abs()
        right = error.square() <= 0.04 if self.version == "pascanu" else error < 0.04
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float(right.double().mean()),
        }
