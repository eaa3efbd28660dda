"""The adding problem."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Generator, Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask
from study.tasks.synthetic.marked import (
    SHORTEST,
    Version,
    draw,
    first_ignored,
    first_marked,
    lags,
    longest,
)

SOLVED_BELOW = 0.01
IRNN_SOLVED_BELOW = 1 / 24  # half of what one known value leaves
IRNN_PUBLISHED = 0.1


@TASKS.register
class Adding(SyntheticTask):
    """Two of T numbers are marked; output their sum after the last step.

    Inputs: a value and a marker. The loss is the squared error. Four versions go by this name:
    "urnn", Arjovsky, Shah & Bengio (2016): values from U[0,1], a marker 1 in each half, T fixed, target
    the sum. "irnn", reruns of Le, Jaitly & Hinton (2015): as that, but the markers at any two places.
    "pascanu", Pascanu, Mikolov & Bengio (2013), their code: lengths T to 1.1 T, markers in the first
    tenth and from there to the half, target the mean; there a mini-batch has one length, here each
    sequence its own. "hochreiter", Hochreiter & Schmidhuber (1997), experiment 4: values from U[-1,1],
    the first and last marker -1, X1 among the first ten, X2 among the first T/2-1 of the rest, lengths
    T to 1.1 T, target 0.5 + (X1+X2)/4; a value marked at the first step, whose marker stays -1, counts 0.

    Chance: the best constant is 1 and its loss Var(U+U) = 2/12 = 1/6 (the widely copied 0.1767 is
    wrong). Knowing one of the two values leaves the other's variance, 1/12. The mean, a half of the
    sum: 1/24 and 1/48. "hochreiter": 2/48 = 1/24, less 1/48 where a value counts 0.

    Solved: "urnn" by ``solved_below``; "irnn" below 1/24, half of what one known value leaves: the 0.1 of
    the reruns, which is drawn as a level, is met by who knows one value only; "pascanu" when less than 1 %
    have a squared error above 0.04; "hochreiter" when every absolute error is below 0.04 and their
    mean below 0.01.
    """

    title: ClassVar[str] = "Adding problem"
    source: ClassVar[str] = (
        "Arjovsky, Shah & Bengio (2016); Hochreiter & Schmidhuber (1997), exp. 4"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error"

    name: Literal["adding"] = "adding"
    length: int = Field(default=100, ge=2, le=100_000, description="T, steps")
    version: Version = Field(default="urnn", description="urnn, irnn, pascanu or hochreiter")
    solved_below: float = Field(
        default=SOLVED_BELOW, gt=0, lt=1 / 12, description="validation MSE, of urnn"
    )

    @model_validator(mode="after")
    def _parameters_are_the_versions(self) -> "Adding":
        if self.length < SHORTEST[self.version]:
            raise ValueError(
                f"length must be at least {SHORTEST[self.version]} in version {self.version}"
            )
        if self.version != "urnn" and self.solved_below != SOLVED_BELOW:
            raise ValueError(
                f"solved_below is for version urnn; {self.version} has its source's criterion"
            )
        return self

    @property
    def metric(self) -> str | None:  # type: ignore[override]
        return "correct" if self.version in ("pascanu", "hochreiter") else None

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
    def chance_loss(self) -> float:
        if self.version == "pascanu":
            return 1 / 24
        if self.version == "hochreiter":
            one, two = first_ignored(self.length)
            return (2 - one - (1 - one) * two) / 48  # Var(X/4) = (1/3)/16 = 1/48
        return 1 / 6  # Var(U+U)

    @property
    def plateaus(self) -> Mapping[str, float]:
        level = 1 / 48 if self.version == "pascanu" else 1 / 12
        if self.version == "hochreiter":
            one, two = first_ignored(self.length)
            level = (1 - (1 - one) * two) / 48
        known = {"one of the two values known": level}
        return known | {"published as solved": IRNN_PUBLISHED} if self.version == "irnn" else known

    def partly(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"one of the two values known": first_marked(batch)}

    @property
    def chance_metric(self) -> float | None:
        if self.version == "pascanu":
            return 1 - 0.6**2  # |U+U-1| ≤ 0.4
        if self.version == "hochreiter":
            one, two = first_ignored(self.length)
            alone = one + (1 - one) * two
            # |X1+X2| < 0.16, of density (2-|s|)/4; or of one alone, of density 1/2
            return (1 - alone) * (2 * 0.16 - 0.16**2 / 2) / 2 + alone * 0.16
        return None

    @property
    def solved_loss(self) -> float | None:
        return {"urnn": self.solved_below, "irnn": IRNN_SOLVED_BELOW}.get(self.version)

    @property
    def solved_rule(self) -> str:
        match self.version:
            case "urnn":
                return f"mean squared error below {self.solved_below:g}"
            case "irnn":
                return "mean squared error below 0.04167, half of what one known value leaves"
            case "pascanu":
                return "a squared error above 0.04 in less than 1% of the sequences"
            case "hochreiter":
                return "every absolute error below 0.04 and their mean below 0.01"

    def solved(self, scores: Mapping[str, float]) -> bool:
        if self.solved_loss is not None:
            return scores["loss"] < self.solved_loss
        if self.version == "pascanu":
            return scores["correct"] > 0.99
        return scores["correct"] == 1 and scores["error"] < 0.01

    def sample(self, generator: Generator, n: int) -> Batch:
        low = -1.0 if self.version == "hochreiter" else 0.0
        marked = draw(self.version, self.length, low, 0.0, generator, n)
        total = marked.first + marked.second
        if self.version == "pascanu":
            total = total / 2
        if self.version == "hochreiter":
            total = 0.5 + total / 4
        return marked.asking(total)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        scores = {"loss": float(self.loss(predictions, targets))}
        error = (predictions - targets).abs()
        if self.version == "pascanu":
            scores["correct"] = float((error.square() <= 0.04).double().mean())
        if self.version == "hochreiter":
            scores["correct"] = float((error < 0.04).double().mean())
            scores["error"] = float(error.mean())
        return scores
