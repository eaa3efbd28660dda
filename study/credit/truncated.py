"""A window of the past, cut at fixed steps."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.credit.base import CREDIT, Credit


@CREDIT.register
class Truncated(Credit):
    """The state is carried on, the graph is cut every K steps. Williams & Peng (1990).

    Cut before steps K, 2K, …, so a loss reaches back 1 to K steps. Biased: what acts over a longer
    lag than the window is not seen, and may be of the opposite sign.
    """

    name: Literal["truncated"] = "truncated"
    window: int = Field(default=20, ge=1)

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        factors = torch.ones(steps, dtype=torch.float64)
        factors[self.window :: self.window] = 0
        return factors
