"""U orthogonal, or nearly: a linear state keeps its norm, and so does the gradient on its way back."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.initializers.base import RECURRENT, WholeMatrix, normal
from study.initializers.identity import OneMatrix


def _haar(shape: tuple[int, ...], generator: Generator) -> Tensor:
    q, r = torch.linalg.qr(normal(shape, generator))
    return q * r.diagonal().sign()


@RECURRENT.register
class Orthogonal(WholeMatrix):
    """Q of a Gaussian matrix's QR with R's diagonal made positive: uniform over the rotations and
    reflections. Saxe, McClelland & Ganguli (2014); signs: Mezzadri (2007)."""

    name: Literal["orthogonal"] = "orthogonal"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return _haar(shape, generator)


@RECURRENT.register
class SoftOrthogonal(WholeMatrix):
    """U = P diag(s) Qᵀ, P and Q orthogonal, s = 2mσ(p) + 1 - m within the margin m of 1, p ~ N(0,
    spread). Vorontsov, Trabelsi, Kadoury & Pal (2017).

    The margin bounds s here at the start; there it does so throughout training, which moves p from
    0: s = 1, which is ``orthogonal``. Hence p is drawn.
    """

    name: Literal["soft-orthogonal"] = "soft-orthogonal"
    margin: float = Field(default=0.1, gt=0, le=1, description="m, largest distance of s from 1")
    spread: float = Field(default=1.0, gt=0, description="standard deviation of p")

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        left, right = _haar(shape, generator), _haar(shape, generator)
        p = self.spread * normal((shape[0],), generator)
        s = 2 * self.margin * torch.sigmoid(p) + 1 - self.margin
        return left * s @ right.T


def _rotations(angles: Tensor, size: int) -> Tensor:
    """The 2×2 blocks [[cos a, sin a], [-sin a, cos a]] down the diagonal; an odd last entry is 1."""
    matrix = torch.eye(size, dtype=torch.float64)
    first = torch.arange(0, size - 1, 2)
    matrix[first, first] = matrix[first + 1, first + 1] = angles.cos()
    matrix[first, first + 1] = angles.sin()
    matrix[first + 1, first] = -angles.sin()
    return matrix


@RECURRENT.register
class SkewHenaff(OneMatrix):
    """U = exp(A), A of 2×2 skew blocks [[0, a], [-a, 0]], a ~ U[-π, π]: a rotation by a in each plane.

    Henaff, Szlam & LeCun (2016), as in the code of Lezcano-Casado & Martínez-Rubio (2019). There A
    is trained; the layers here train U itself, and so start from exp(A). Pairs of units do not hear
    each other until training has joined them.
    """

    name: Literal["skew-henaff"] = "skew-henaff"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        half = torch.rand(shape[0] // 2, generator=generator, dtype=torch.float64)
        return _rotations(math.pi * (2 * half - 1), shape[0])


@RECURRENT.register
class SkewCayley(OneMatrix):
    """U = (I+A)⁻¹(I-A)D, A of 2×2 skew blocks [[0, s], [-s, 0]], s = -√((1-cos a)/(1+cos a)),
    a ~ U[0, π/2], and D = diag(1, …, 1, -1, …, -1). Helfrich, Willmott & Ye (2018), scoRNN.

    As s = -tan(a/2), the Cayley transform of a block is the rotation by a, and its eigenvalues are
    e^±ia. There A is trained and D, whose share of -1 was tuned for each task (a half for copying),
    is fixed; the layers here train U itself.
    """

    name: Literal["skew-cayley"] = "skew-cayley"
    negative_share: float = Field(default=0.0, ge=0, le=1, description="share of -1 in D")

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        angles = math.pi / 2 * torch.rand(shape[0] // 2, generator=generator, dtype=torch.float64)
        signs = torch.ones(shape[0], dtype=torch.float64)
        signs[shape[0] - round(self.negative_share * shape[0]) :] = -1
        return _rotations(angles, shape[0]) * signs
