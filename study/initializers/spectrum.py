"""U scaled to a spectral radius, the largest modulus of its eigenvalues."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.initializers.base import RECURRENT, WholeMatrix, normal


def _scaled(matrix: Tensor, radius: float) -> Tensor:
    """Not by its norm: the largest singular value of a non-normal matrix is larger."""
    return matrix * (radius / torch.linalg.eigvals(matrix).abs().max())


@RECURRENT.register
class SpectralRadius(WholeMatrix):
    """N(0, 1) scaled to a spectral radius. Jaeger (2001), echo state networks: below 1 for a state
    that forgets its start.

    The largest singular value is then about twice the radius, so steps may still amplify.
    """

    name: Literal["spectral-radius"] = "spectral-radius"
    radius: float = Field(default=0.95, gt=0, description="spectral radius")

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return _scaled(normal(shape, generator), self.radius)


@RECURRENT.register
class Sparse(WholeMatrix):
    """Each unit feeds ``nonzeros`` units, chosen at random, by weights of N(0, 1); then scaled to a
    spectral radius. The "smart tanh" of Pascanu, Mikolov & Bengio (2013), after Martens (2010).

    Their code zeroes in rows of the matrix that multiplies a row vector of states: what a unit sends,
    so a column of U. All weights stay where a layer has no more units than that.
    """

    name: Literal["sparse"] = "sparse"
    nonzeros: int = Field(default=15, ge=1, description="units that each unit feeds")
    radius: float = Field(default=0.95, gt=0, description="spectral radius")

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        weights = normal(shape, generator)
        order = torch.rand(shape, generator=generator, dtype=torch.float64).argsort(dim=0)
        return _scaled(weights * (order < self.nonzeros), self.radius)
