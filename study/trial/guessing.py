"""Random weight guessing: a task that it solves is no proof of learning."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from study.networks.model import Model
from study.tasks.base import Batch, Task


@dataclass(frozen=True)
class Guess:
    """After one guess: the sample's loss with what the model holds, and whether that solves it."""

    loss: float
    solves: bool


def guesses(
    model: Model, task: Task, sample: Batch, limit: float, generator: Generator
) -> Iterator[Guess]:
    """w ~ U[-a,a] for every trained number, a = ``limit``, again and again without end.

    "REPEAT randomly initialize the weights and test the resulting net on a training set UNTIL solution
    found": Hochreiter & Schmidhuber (1996); Schmidhuber, Hochreiter & Bengio (2001), who draw from
    [-100,100]. The test is the task's criterion on ``sample``. After a guess that meets it the model
    holds that guess, otherwise the one of the lowest loss so far, the initial weights being the first.
    A constrained matrix gets its free numbers drawn.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        best, kept = task.scores(model(sample), sample.targets)["loss"], _copy(parameters)
    while True:
        with torch.no_grad():
            for parameter in parameters:
                parameter.uniform_(-limit, limit, generator=generator)
            scores = task.scores(model(sample), sample.targets)
            loss, solves = scores["loss"], task.solved(scores)
            if loss < best or math.isnan(best):  # never a NaN for a number
                best, kept = loss, _copy(parameters)
            if not solves:
                for parameter, value in zip(parameters, kept, strict=True):
                    parameter.copy_(value)
        yield Guess(loss if solves else best, solves)


def _copy(parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]
