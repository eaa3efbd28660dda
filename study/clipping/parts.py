"""Rules that treat the gradient's parts apart, which also turns it."""

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from study.clipping.base import (
    CLIPPING,
    Clipped,
    Clipping,
    evidence_of_scales,
    global_norm,
    norms_of,
)


@CLIPPING.register
class ValueClipping(Clipping):
    """Every entry limited to [-θ, θ], which also turns the gradient. Mikolov (2012).

    As numpy.clip: an infinite entry becomes ±θ, NaN stays; the evidence has the norm before.
    """

    name: Literal["value"] = "value"
    threshold: float = Field(default=1.0, gt=0)

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        before = float(global_norm(gradients))
        largest = float(torch.stack(torch._foreach_norm(list(gradients), float("inf"))).max())
        if largest <= self.threshold:
            return Clipped.unchanged(before)
        if not isfinite(before):
            acted = any(bool((g.abs() > self.threshold).any()) for g in gradients)  # or only NaN
            self._clamp(gradients)
            return Clipped(before, float(global_norm(gradients)), None, acted)
        products = torch._foreach_div(list(gradients), largest)  # so that they do not overflow
        self._clamp(gradients)
        after = float(global_norm(gradients))
        # Clipping keeps every sign: g·g' is the sum of the products' sizes.
        torch._foreach_mul_(products, list(gradients))
        sizes = torch.stack(torch._foreach_norm(products, 1, dtype=torch.float64))
        cosine = float(sizes.sum()) * (largest / before) / after
        return Clipped(before, after, min(cosine, 1.0), acted=True)

    def _clamp(self, gradients: Sequence[Tensor]) -> None:
        torch._foreach_clamp_min_(list(gradients), -self.threshold)
        torch._foreach_clamp_max_(list(gradients), self.threshold)


@CLIPPING.register
class ParameterNormClipping(Clipping):
    """g_p ← θ g_p/‖g_p‖ for each parameter p whose own gradient's norm exceeds θ.

    A parameter is one matrix or vector of the equations, such as U_f. With P of them the global norm
    stays below θ√P.
    """

    name: Literal["param-norm"] = "param-norm"
    threshold: float = Field(default=1.0, gt=0)

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        norms = norms_of(gradients)
        if not norms.isfinite().all() or norms.max() <= self.threshold:
            return Clipped.unchanged(float(torch.linalg.vector_norm(norms)))
        scales = torch.where(norms > self.threshold, self.threshold / norms, 1.0)
        torch._foreach_mul_(list(gradients), scales.tolist())
        return evidence_of_scales(norms, scales)


@CLIPPING.register
class AdaptiveClipping(Clipping):
    """g_i ← λ max(‖w_i‖, ε) g_i/‖g_i‖ where ‖g_i‖ exceeds λ max(‖w_i‖, ε), for every unit i.

    AGC of Brock, De, Smith & Simonyan (2021): w_i and g_i are the weights into unit i, a row of a
    matrix, and their gradient; a bias vector counts as one unit, as in the authors' code. They leave
    the readout alone, here it is clipped too. A vector that starts at zero moves by at most ε·λ
    times the learning rate a step at first.
    """

    name: Literal["adaptive"] = "adaptive"
    ratio: float = Field(default=0.01, gt=0, description="λ")
    eps: float = Field(default=1e-3, gt=0, description="ε, the least norm of weights")

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        by_unit = [_unit_norms(g) for g in gradients]
        norms = torch.cat(by_unit)
        weights = torch.cat([_unit_norms(p.detach()) for p in parameters])
        largest = self.ratio * weights.clamp(min=self.eps)
        if not norms.isfinite().all() or not (norms > largest).any():
            return Clipped.unchanged(float(torch.linalg.vector_norm(norms)))
        scales = torch.where(norms > largest, largest / norms, 1.0)
        parts = scales.split([len(part) for part in by_unit])
        for gradient, scale in zip(gradients, parts, strict=True):
            rows = _rows(gradient)
            rows.mul_(scale.to(rows.dtype).view(-1, *[1] * (rows.dim() - 1)))
        return evidence_of_scales(norms, scales)


def _rows(values: Tensor) -> Tensor:
    """A view with one entry a unit; a vector is one unit."""
    return values if values.dim() > 1 else values[None]


def _unit_norms(values: Tensor) -> Tensor:
    """(H, n) -> (H,), a vector -> (1,); in float64, as in `norms_of`."""
    rows = _rows(values)
    return torch.linalg.vector_norm(rows.reshape(len(rows), -1), dim=1, dtype=torch.float64)
