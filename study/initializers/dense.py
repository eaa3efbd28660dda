"""Matrices whose entries are drawn one by one, for U and W alike."""

import math
from typing import Literal

from pydantic import Field
from torch import Generator, Tensor

from study.initializers.base import (
    INPUT_WEIGHTS,
    RECURRENT,
    MatrixInitializer,
    normal,
    uniform,
)


@INPUT_WEIGHTS.register
@RECURRENT.register
class Uniform(MatrixInitializer):
    """U[-1/√H, 1/√H], torch's default for every recurrent layer."""

    name: Literal["uniform"] = "uniform"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return uniform(shape, 1 / math.sqrt(hidden), generator)


@INPUT_WEIGHTS.register
@RECURRENT.register
class Xavier(MatrixInitializer):
    """U[-a, a] with a = √(6/(rows + columns)), each gate's matrix by itself. Glorot & Bengio (2010)."""

    name: Literal["xavier"] = "xavier"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return uniform(shape, math.sqrt(6 / sum(shape)), generator)


@INPUT_WEIGHTS.register
@RECURRENT.register
class He(MatrixInitializer):
    """N(0, std) with std = √(2/columns), for ReLU. He, Zhang, Ren & Sun (2015), eq. 10.

    A square matrix so drawn has a spectral radius near √2.
    """

    name: Literal["he"] = "he"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return math.sqrt(2 / shape[1]) * normal(shape, generator)


@INPUT_WEIGHTS.register
@RECURRENT.register
class Normal(MatrixInitializer):
    """N(0, std).

    Of W in the IRNN of Le, Jaitly & Hinton (2015): 0.001 or 0.01. Of U and W in Pascanu, Mikolov &
    Bengio (2013): 0.01 with sigmoid, 0.1 in their "basic tanh".
    """

    name: Literal["normal"] = "normal"
    std: float = Field(default=0.01, gt=0, description="standard deviation")

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return self.std * normal(shape, generator)
