"""Clipping within the backward pass, which the engines do."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from study.clipping.base import CLIPPING, Clipped, Clipping, global_norm


@CLIPPING.register
class SignalClipping(Clipping):
    """Every entry of ∂L/∂a limited to [-limit, limit], a the pre-activations of each time step.

    Graves (2013), within the backward pass, so that what one step hands to the one before it is
    bounded too, which turns the gradient. His limits, 1 to 10, are for the loss of one sequence; in
    the mean over B of them, as here, entries are B times smaller. The norms are those of what
    results; the gradient that would have been is never computed, so there is no cosine. Whether the
    limit acted, the backward pass tells.
    """

    name: Literal["signal"] = "signal"
    limit: float = Field(default=0.01, gt=0, description="of the mean loss of a batch")

    @property
    def signal_limit(self) -> float | None:
        return self.limit

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        norm = float(global_norm(gradients))
        return Clipped(norm, norm, None, acted=False)
