"""Element-wise parameters that are no biases: peepholes, recurrent vectors, eigenvalues."""

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.initializers.base import VECTORS, VectorInitializer, uniform, vectors_of
from study.language.cell import Cell

_NEAREST = 2**-53  # to 0 and 1, whose logarithms are infinite: the spacing of torch.rand's numbers


@VECTORS.register
class AsInTheSource(VectorInitializer):
    """As the cell's own source starts each: a constant or a uniform range; U[-1/√H, 1/√H]
    where it says nothing, torch's default for everything recurrent."""

    name: Literal["source"] = "source"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        starts = cell.starts
        if isinstance(starts, str):
            return VECTORS.build(starts).draw(cell, hidden, generator)
        return {
            name: _started(shape, starts.get(name), hidden, generator)
            for name, shape in vectors_of(cell, hidden).items()
        }


def _started(
    shape: tuple[int, ...],
    start: float | tuple[float, float] | None,
    hidden: int,
    generator: Generator,
) -> Tensor:
    if start is None:
        return uniform(shape, 1 / math.sqrt(hidden), generator)
    if isinstance(start, tuple):
        low, high = start
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.full(shape, start, dtype=torch.float64)


@VECTORS.register
class ZeroVectors(VectorInitializer):
    """p = 0 everywhere: peepholes closed."""

    name: Literal["zeros"] = "zeros"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        return {n: torch.zeros(s, dtype=torch.float64) for n, s in vectors_of(cell, hidden).items()}


@VECTORS.register
class UniformVectors(VectorInitializer):
    """U[-1/√H, 1/√H], as torch starts everything recurrent."""

    name: Literal["uniform"] = "uniform"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        bound = 1 / math.sqrt(hidden)
        return {n: uniform(s, bound, generator) for n, s in vectors_of(cell, hidden).items()}


@VECTORS.register
class LruRing(VectorInitializer):
    """Eigenvalues λ = exp(-e^ν + ie^θ) uniform over the ring r_min ≤ |λ| ≤ r_max, phases in
    [0, max_phase]; e^γ = √(1-|λ|²). Orvieto et al. (2023), Linear Recurrent Unit.

    ν = log(-½ log(u(r_max² - r_min²) + r_min²)), θ = log(max_phase·u), u ~ U[0, 1]; γ evens out the
    norm of the state over the units. Other vectors of the cell start as its source has them. The
    authors' 0, 1 and 2π are the defaults; for long lags they narrow the ring to 0.9 … 0.999 and the
    phase to π/10.
    """

    name: Literal["lru-ring"] = "lru-ring"
    r_min: float = Field(default=0.0, ge=0, lt=1)
    r_max: float = Field(default=1.0, gt=0, le=1)
    max_phase: float = Field(default=2 * math.pi, gt=0, le=2 * math.pi, description="radians")

    @model_validator(mode="after")
    def _is_a_ring(self) -> "LruRing":
        if self.r_min >= self.r_max:
            raise ValueError(f"r_min must be below r_max (got {self.r_min:g} and {self.r_max:g})")
        return self

    def refusal(self, cell: Cell) -> str | None:
        missing = [n for n in ("p_nu", "p_theta", "p_gamma") if n not in vectors_of(cell, 1)]
        if not missing:
            return None
        return f"{cell.name} has no {', '.join(missing)}, so no eigenvalues; use source"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        u, v = torch.rand(2, hidden, generator=generator, dtype=torch.float64)
        squared = u * (self.r_max**2 - self.r_min**2) + self.r_min**2  # |λ|²
        squared = squared.clamp(_NEAREST, 1 - _NEAREST)
        ring = {
            "p_nu": torch.log(-torch.log(squared) / 2),
            "p_theta": torch.log(self.max_phase * v.clamp(min=_NEAREST)),
            "p_gamma": torch.log1p(-squared) / 2,
        }
        starts = cell.starts
        shapes = vectors_of(cell, hidden)
        others = {
            n: _started(s, None if isinstance(starts, str) else starts.get(n), hidden, generator)
            for n, s in shapes.items()
            if n not in ring
        }
        return {n: (ring | others)[n] for n in shapes}
