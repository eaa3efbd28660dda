"""What is done to the gradient between the backward pass and the optimizer's step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from study.registry import Choice, Choices


@dataclass(frozen=True)
class Clipped:
    """Evidence of one step: the gradient's global L2 norm before, and whether clipping changed it."""

    norm_before: float
    acted: bool


class Clipping(Choice):
    """Changes gradients in place."""

    def __call__(self, gradients: Sequence[Tensor]) -> Clipped:
        raise NotImplementedError


CLIPPING: Choices[Clipping] = Choices("clipping")


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """√Σ g² over all entries of all gradients, a float64 scalar.

    In float32 the squares of an exploding but finite gradient, from about 1e19, would be infinite.
    """
    norms = torch._foreach_norm(list(gradients), 2, dtype=torch.float64)
    return torch.linalg.vector_norm(torch.stack(norms))


@CLIPPING.register
class NoClipping(Clipping):
    """The gradient as it is."""

    name: Literal["none"] = "none"

    def __call__(self, gradients: Sequence[Tensor]) -> Clipped:
        return Clipped(float(global_norm(gradients)), acted=False)


@CLIPPING.register
class NormClipping(Clipping):
    """g ← θ g/‖g‖ where the global norm ‖g‖ exceeds the threshold θ.

    Pascanu, Mikolov & Bengio (2013), who advise θ between 0.5 and 10 times the average norm.
    """

    name: Literal["norm"] = "norm"
    threshold: float = Field(default=1.0, gt=0)

    def __call__(self, gradients: Sequence[Tensor]) -> Clipped:
        norm = float(global_norm(gradients))
        # An infinite or NaN norm is left alone: scaling by it would hide that the step diverged.
        acted = self.threshold < norm < float("inf")
        if acted:
            torch._foreach_mul_(list(gradients), self.threshold / norm)
        return Clipped(norm, acted)


@CLIPPING.register
class ValueClipping(Clipping):
    """Every entry limited to [-θ, θ], which also turns the gradient. Mikolov (2012)."""

    name: Literal["value"] = "value"
    threshold: float = Field(default=1.0, gt=0)

    def __call__(self, gradients: Sequence[Tensor]) -> Clipped:
        norm = float(global_norm(gradients))
        acted = any(bool((g.abs() > self.threshold).any()) for g in gradients)
        if acted:
            for gradient in gradients:
                gradient.clamp_(-self.threshold, self.threshold)
        return Clipped(norm, acted)
