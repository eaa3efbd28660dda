"""U for the one matrix that carries the state: the identity, its multiples and its neighbors."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.initializers.base import RECURRENT, WholeMatrix, normal
from study.initializers.gates import carries
from study.language.cell import Cell


class OneMatrix(WholeMatrix):
    """What it does to the state holds where one matrix carries it, and no other has a say."""

    def refusal(self, cell: Cell) -> str | None:
        matrices = cell.recurrent_matrices
        if len(matrices) == 1 and carries(cell, matrices[0]):
            return super().refusal(cell)
        use = "uniform, xavier or orthogonal"
        if not matrices:
            has, use = f"{cell.name} has none", "uniform"
        elif len(matrices) == 1:
            has = f"that of {cell.name}, {matrices[0]}, acts in gates only"
        else:
            has = f"{cell.name} has {len(matrices)} ({', '.join(matrices)})"
        return f"it is for the one matrix that carries the state, and {has}; use {use}"


@RECURRENT.register
class Identity(OneMatrix):
    """U = I: with ReLU and zero biases the IRNN of Le, Jaitly & Hinton (2015)."""

    name: Literal["identity"] = "identity"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return torch.eye(*shape, dtype=torch.float64)


@RECURRENT.register
class ScaledIdentity(OneMatrix):
    """U = scale·I. Le, Jaitly & Hinton (2015) use 0.01 where long memory hurts, as in speech."""

    name: Literal["scaled-identity"] = "scaled-identity"
    scale: float = Field(default=0.01, gt=0)

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        return self.scale * torch.eye(*shape, dtype=torch.float64)


@RECURRENT.register
class NormalizedPositive(OneMatrix):
    """U = (A+I)/λ_max(A+I), A = RRᵀ/H, R ~ N(0, 1): symmetric, its eigenvalues in (0, 1], the
    largest 1. The np-RNN of Talathi & Vartak (2015), with ReLU.

    As A's eigenvalues spread over (0, 4), most of U's lie well below 1 (Marchenko & Pastur, 1967).
    """

    name: Literal["np-rnn"] = "np-rnn"

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        r = normal(shape, generator)
        shifted = r @ r.T / shape[0] + torch.eye(*shape, dtype=torch.float64)
        return shifted / torch.linalg.eigvalsh(shifted)[-1]
