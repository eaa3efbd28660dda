"""The two-sequence problem, noise and signal on the same channel."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor
from torch.nn import functional

from study.base.seeding import generator as seeded
from study.tasks import TASKS
from study.tasks.base import Batch, SyntheticTask, between

VARIANCE = 0.2  # of the noise among the inputs
TARGET_VARIANCE = 0.1  # of the noise on 3c's targets


@TASKS.register
class TwoSequence(SyntheticTask):
    """Which of two classes did the first N of T noisy steps show?

    One input: 1 (class 1) or -1 (class 2) at the first N steps, then N(0, √0.2) up to the end of T to
    1.1 T steps. Hochreiter & Schmidhuber (1997), experiment 3, after Bengio et al. (1994). "3a": targets
    1 and 0. "3b": the noise is added to the first N steps too. "3c": as 3a, with the targets 0.2 and
    0.8 and, in training, noise N(0, √0.1) on them; held-out sequences keep the noise-free targets that
    the paper judges by. The output is a sigmoid, as there, and the loss its squared error. Random
    guessing solves 3a and 3b faster than any published method, says the paper.

    Chance: the best constant lies between the two targets: 0.5² = 1/4; 3c: 0.3² = 0.09. A sequence is
    ``correct`` when its absolute error is below 0.2 (3c: 0.1), which that constant never is.

    Solved, by the paper's stopping criteria on 256 test sequences. "st1": 3a none wrong, 3b fewer than
    6 in 256. "st2": also a mean absolute error below 0.01 (3b: 0.04). 3c has one: none wrong, below 0.015.
    """

    title: ClassVar[str] = "Two-sequence problem"
    source: ClassVar[str] = "Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 3"
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error of a sigmoid"
    metric: ClassVar[str | None] = "correct"

    name: Literal["two-sequence"] = "two-sequence"
    length: int = Field(default=100, ge=4, le=100_000, description="T, the shortest length, steps")
    version: Literal["3a", "3b", "3c"] = Field(default="3a", description="3a, 3b or 3c")
    shown: int = Field(
        default=3, ge=1, le=3, description="N, steps that show the class; 1 or 3 there"
    )
    criterion: Literal["st1", "st2"] = Field(default="st1", description="st1 or st2; st2 for 3c")

    @model_validator(mode="before")
    @classmethod
    def _three_c_has_one_criterion(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("version") == "3c":
            return {"criterion": "st2", **given}
        return given

    @model_validator(mode="after")
    def _check_criterion(self) -> "TwoSequence":
        if self.version == "3c" and self.criterion == "st1":
            raise ValueError("criterion of version 3c is st2; it has no other")
        return self

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length + self.length // 10

    @property
    def lag(self) -> tuple[int, int]:
        return self.length - 1, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return 0.09 if self.version == "3c" else 0.25

    @property
    def chance_metric(self) -> float:
        return 0.0

    @property
    def _limits(self) -> tuple[float, float | None]:
        """The share that must be correct, or more; the mean absolute error that must not be reached."""
        share = 251 / 256 if self.version == "3b" else 1.0
        error = {"3a": 0.01, "3b": 0.04, "3c": 0.015}[self.version]
        return share, error if self.criterion == "st2" else None

    @property
    def solved_rule(self) -> str:
        share, error = self._limits
        bound = 0.1 if self.version == "3c" else 0.2
        text = f"an absolute error below {bound} on " + (
            "all sequences" if share == 1 else "all but fewer than 6 in 256 sequences"
        )
        return text if error is None else f"{text}, and its mean below {error}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        share, error = self._limits
        return scores["correct"] >= share and (error is None or scores["error"] < error)

    def sample(self, generator: Generator, n: int) -> Batch:
        second = between(0, 1, (n,), generator)
        ends = between(self.length, self.steps, (n,), generator) - 1
        values = torch.randn(self.steps, n, generator=generator) * VARIANCE**0.5
        if self.version != "3b":
            values[: self.shown] = 0
        values[: self.shown] += 1.0 - 2 * second
        values[torch.arange(self.steps)[:, None] > ends] = 0
        of_first, of_second = (0.2, 0.8) if self.version == "3c" else (1.0, 0.0)
        target = torch.where(second == 1, of_second, of_first)
        return Batch(values[..., None], target[None, :, None], ends)

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        stream = seeded("training", seed)
        while True:
            batch = self.sample(stream, size)
            if self.version == "3c":
                noise = torch.randn(batch.targets.shape, generator=stream) * TARGET_VARIANCE**0.5
                batch = replace(batch, targets=batch.targets + noise)
            yield batch

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions.sigmoid(), targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        error = (predictions.sigmoid() - targets).abs()
        bound = 0.1 if self.version == "3c" else 0.2
        return {
            "loss": float(self.loss(predictions, targets)),
            "correct": float((error < bound).double().mean()),
            "error": float(error.mean()),
        }
