"""Generating a waveform from nothing."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask

PARTIALS = 8


@TASKS.register
class Waveform(DatasetTask):
    """One curve of 320 steps, to be generated without any input that tells the time.

    The input is 1 at every step, the target a waveform scaled to [-1,1]; the loss is the mean squared
    error over the waveform's variance (NMSE). Koutník, Greff, Gomez & Schmidhuber (2014), A clockwork
    RNN, who take five pieces of recorded sound, each for a network of its own. In place of recordings,
    five sums of eight sines, numbered by ``waveform``: frequencies spread evenly on a log scale from
    1 to 40 periods, each shifted at random, amplitudes falling as 1/√f, random phases. There is one
    sequence to be learned by heart, and the data sets are all it.

    Chance: the best constant is the mean and its NMSE 1. Our criterion: below 0.05.
    """

    title: ClassVar[str] = "Waveform generation"
    source: ClassVar[str] = "Koutník, Greff, Gomez & Schmidhuber (2014), A clockwork RNN"
    reads: ClassVar[Literal["last", "every"]] = "every"
    loss_name: ClassVar[str] = "squared error over the waveform's variance"

    name: Literal["waveform"] = "waveform"
    length: int = Field(default=320, ge=8, le=100_000, description="T, steps")
    waveform: int = Field(default=1, ge=1, le=5, description="which of the five")
    solved_below: float = Field(default=0.05, gt=0, lt=1, description="NMSE")

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
    def chance_loss(self) -> float:
        return 1.0

    @property
    def solved_rule(self) -> str:
        return f"squared error over variance below {self.solved_below:g}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_below

    @cached_property
    def curve(self) -> Tensor:
        """(T,), float64."""
        draws = torch.rand(
            2, PARTIALS, generator=Generator().manual_seed(self.waveform), dtype=torch.float64
        )
        place = (torch.arange(PARTIALS) + draws[0]) / PARTIALS
        frequency = 40**place
        phase = 2 * math.pi * draws[1]
        time = torch.arange(self.length, dtype=torch.float64)[:, None] / self.length
        waves = torch.sin(2 * math.pi * frequency * time + phase) / frequency.sqrt()
        curve = waves.sum(1)
        return curve / curve.abs().max()

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        batch = Batch(torch.ones(self.length, 1, 1), self.curve[:, None, None].float())
        return {"training": batch, "validation": batch, "test": batch}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).square().mean() / float(self.curve.var(correction=0))
