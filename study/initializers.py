"""How a layer's matrices and biases start. Each refuses the cells that it makes no sense for."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.equations import Cell
from study.errors import UserError
from study.registry import Choice, Choices


class MatrixInitializer(Choice):
    """Fills one matrix (rows, columns) of a layer with H hidden units."""

    def refusal(self, cell: Cell) -> str | None:
        """Why the initializer does not suit the cell, or None when it does."""
        return None

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        """A float64 tensor of that shape."""
        raise NotImplementedError


class BiasInitializer(Choice):
    """Fills the bias vector of one gate."""

    def refusal(self, cell: Cell) -> str | None:
        return None

    def draw(self, name: str, cell: Cell, hidden: int, generator: Generator) -> Tensor:
        """A float64 tensor (H,); ``name`` is the bias's name in the equations."""
        raise NotImplementedError


RECURRENT: Choices[MatrixInitializer] = Choices("initializer of U")
INPUT_WEIGHTS: Choices[MatrixInitializer] = Choices("initializer of W")
BIASES: Choices[BiasInitializer] = Choices("initializer of the biases")


def _uniform(shape: tuple[int, ...], bound: float, generator: Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@INPUT_WEIGHTS.register
@RECURRENT.register
class Uniform(MatrixInitializer):
    """U[-1/√H, 1/√H], torch's default for every recurrent layer."""

    name: Literal["uniform"] = "uniform"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return _uniform(shape, 1 / math.sqrt(hidden), generator)


@INPUT_WEIGHTS.register
@RECURRENT.register
class Xavier(MatrixInitializer):
    """U[-a, a] with a = √(6/(rows + columns)), each gate's matrix by itself. Glorot & Bengio (2010)."""

    name: Literal["xavier"] = "xavier"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return _uniform(shape, math.sqrt(6 / sum(shape)), generator)


@INPUT_WEIGHTS.register
class Normal(MatrixInitializer):
    """N(0, std). The IRNN of Le, Jaitly & Hinton (2015) has std 0.001 or 0.01."""

    name: Literal["normal"] = "normal"
    std: float = Field(default=0.01, gt=0)

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return self.std * _normal(shape, generator)


@RECURRENT.register
class Orthogonal(MatrixInitializer):
    """Q of a Gaussian matrix's QR with R's diagonal made positive: uniform over the rotations and
    reflections. Saxe, McClelland & Ganguli (2014); signs: Mezzadri (2007)."""

    name: Literal["orthogonal"] = "orthogonal"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        q, r = torch.linalg.qr(_normal(shape, generator))
        return q * r.diagonal().sign()


class _Diagonal(MatrixInitializer):
    def refusal(self, cell: Cell) -> str | None:
        if len(cell.recurrent_matrices) == 1:
            return None
        return (
            "it makes the one matrix that carries the state pass it on unchanged, and "
            f"{cell.name} has {len(cell.recurrent_matrices)} ({', '.join(cell.recurrent_matrices)}); "
            "use uniform, xavier or orthogonal, and a forget bias"
        )


@RECURRENT.register
class Identity(_Diagonal):
    """U = I: with ReLU and zero biases the IRNN of Le, Jaitly & Hinton (2015)."""

    name: Literal["identity"] = "identity"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return torch.eye(*shape, dtype=torch.float64)


@RECURRENT.register
class ScaledIdentity(_Diagonal):
    """U = scale·I. Le, Jaitly & Hinton (2015) use 0.01 where long memory hurts, as in speech."""

    name: Literal["scaled-identity"] = "scaled-identity"
    scale: float = Field(default=0.01, gt=0)

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return self.scale * torch.eye(*shape, dtype=torch.float64)


@BIASES.register
class Zeros(BiasInitializer):
    """b = 0 everywhere."""

    name: Literal["zeros"] = "zeros"

    def draw(self, name: str, cell: Cell, hidden: int, generator: Generator) -> Tensor:
        return torch.zeros(hidden, dtype=torch.float64)


@BIASES.register
class UniformBias(BiasInitializer):
    """U[-1/√H, 1/√H] for every bias, torch's default (torch has two that add; here there is one)."""

    name: Literal["uniform"] = "uniform"

    def draw(self, name: str, cell: Cell, hidden: int, generator: Generator) -> Tensor:
        return _uniform((hidden,), 1 / math.sqrt(hidden), generator)


@BIASES.register
class ForgetBias(BiasInitializer):
    """The forget gate's bias is ``value``, all others 0.

    A constant bias b holds the state for about 1 + e^b steps: 3.7 at b = 1. Gers, Schmidhuber &
    Cummins (2000); Jozefowicz, Zaremba & Sutskever (2015).
    """

    name: Literal["forget"] = "forget"
    value: float = 1.0

    def refusal(self, cell: Cell) -> str | None:
        return None if cell.forget_gate else f"{cell.name} has no forget gate; use zeros or uniform"

    def draw(self, name: str, cell: Cell, hidden: int, generator: Generator) -> Tensor:
        level = self.value if name == f"b_{cell.forget_gate}" else 0.0
        return torch.full((hidden,), level, dtype=torch.float64)


def check_suits(cell: Cell, *initializers: MatrixInitializer | BiasInitializer) -> None:
    """Raises UserError when one of the initializers has no meaning for the cell."""
    for initializer in initializers:
        if reason := initializer.refusal(cell):
            raise UserError(f"initializer {initializer.name!r} does not suit {cell.name}: {reason}")
