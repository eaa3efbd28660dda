"""Cuts by chance, made up for, so that the gradient is right on average."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.credit.base import CREDIT, Credit


@CREDIT.register
class RandomlyTruncated(Credit):
    """Cut before step t with probability c_t, else multiplied by 1/(1-c_t), so without bias.

    Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time (ARTBP). ``length`` L₀
    is the expected number of steps between two cuts. ``constant``: c = 1/L₀; the factors grow
    exponentially until a cut, and so may the variance. ``bounded``: c_t = (α-1)/((α-2) L₀ + δt), δt
    the steps since the last cut; the factors grow as a power, their variance is finite for α > 3.
    The cuts are those of all sequences of a batch.
    """

    name: Literal["artbp"] = "artbp"
    schedule: Literal["bounded", "constant"] = "bounded"
    length: float = Field(default=20.0, gt=1)
    alpha: float = Field(default=4.0, gt=3)

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        draws = torch.rand(steps, generator=generator, dtype=torch.float64).tolist()
        factors, since = [1.0], 1
        for t in range(1, steps):
            chance = self.chance(since)
            is_cut = draws[t] < chance
            factors.append(0.0 if is_cut else 1 / (1 - chance))
            since = 1 if is_cut else since + 1
        return torch.tensor(factors, dtype=torch.float64)

    def chance(self, since: int) -> float:
        """c_t of a cut ``since`` steps (1, 2, …) after the last one, or after the beginning."""
        if self.schedule == "constant":
            return 1 / self.length
        return (self.alpha - 1) / ((self.alpha - 2) * self.length + since)
