"""Rules that see the gradient as one vector and keep its direction."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from study.clipping.base import CLIPPING, Clipped, Clipping, global_norm, shrink_to


@CLIPPING.register
class NoClipping(Clipping):
    """The gradient as it is."""

    name: Literal["none"] = "none"

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        return Clipped.unchanged(float(global_norm(gradients)))


@CLIPPING.register
class NormClipping(Clipping):
    """g ← θ g/‖g‖ where the global norm ‖g‖ exceeds the threshold θ.

    Pascanu, Mikolov & Bengio (2013), who advise θ between 0.5 and 10 times the average norm. Their
    code also shrinks U when the norm is beyond 1e10; here such a step is clipped as any other.
    """

    name: Literal["norm"] = "norm"
    threshold: float = Field(default=1.0, gt=0)

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        return shrink_to(self.threshold, float(global_norm(gradients)), gradients)
