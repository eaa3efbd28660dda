"""Clipping within the backward pass."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from study.clipping.base import CLIPPING, Clipped, Clipping, global_norm


@CLIPPING.register
class SignalClipping(Clipping):
    """Every entry of the back-propagated signal limited to [-limit, limit] at every time step.

    Graves (2013), with limits of 1 and 10. What one step hands to the one before it is bounded, so
    that the gradient grows at most linearly with the length. The norms are those of the gradient
    that results: the one that would have been is never computed.
    """

    name: Literal["signal"] = "signal"
    limit: float = Field(default=1.0, gt=0)

    @property
    def signal_limit(self) -> float | None:
        return self.limit

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        return Clipped.unchanged(float(global_norm(gradients)))
