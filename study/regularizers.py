"""Terms of the training loss that act on how the gradient travels through time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import ClassVar, Literal

import sympy
import torch
from pydantic import Field
from torch import Tensor

from study.engines.lowering import Evaluate, lower
from study.engines.prelude import operands
from study.engines.recording import StateGradients
from study.engines.schedule import Stage, schedule
from study.equations import Cell
from study.layer import Layer
from study.nonlinearities import Nonlinearity
from study.notation import INPUT, PRIME
from study.registry import Choice, Choices


class Regularizer(Choice):
    """A term Ω, with its weight λ, whose gradient is added after the backward pass of the loss."""

    needs_recorder: ClassVar[bool] = True

    def refusal(self, cell: Cell) -> str | None:
        """Why this cell cannot have the term; None when it can."""
        return None

    def add(self, layer: Layer, inputs: Tensor, recorder: StateGradients) -> float | None:
        """Adds λ ∂Ω/∂U to U's gradient; Ω. The recorder has been through both passes of ``inputs``."""
        raise NotImplementedError


REGULARIZERS: Choices[Regularizer] = Choices("regularizer")


@REGULARIZERS.register
class NoRegularizer(Regularizer):
    """The loss as it is."""

    name: Literal["none"] = "none"
    needs_recorder: ClassVar[bool] = False

    def add(self, layer: Layer, inputs: Tensor, recorder: StateGradients) -> float | None:
        return None


@REGULARIZERS.register
class PascanuRegularizer(Regularizer):
    """Ω = mean_k (‖∂E/∂h_k+1 · ∂h_k+1/∂h_k‖²/‖∂E/∂h_k+1‖² - 1)²: the gradient shall keep its norm.

    Pascanu, Mikolov & Bengio (2013). As in their equation 10, ∂E/∂h, h and φ' count as constants:
    only U's own place in ∂h_k+1/∂h_k is differentiated. As in their code the mean is over steps and
    sequences but those with ‖∂E/∂h_k+1‖² below ``bound``; the weights they name go with it. In the
    paper Ω is the sum over k (``over = "sum"``), in its equation 9 of norms, not of squared ones
    (``ratio = "plain"``). For cells with one state and one matrix that is applied to it.
    """

    name: Literal["pascanu"] = "pascanu"
    weight: float = Field(default=4.0, gt=0, description="λ; 4 for temporal order at a rate of .01")
    ratio: Literal["squared", "plain"] = "squared"
    over: Literal["mean", "sum"] = "mean"
    bound: float = Field(default=1e-20, ge=0, description="below it a step is left out")

    def refusal(self, cell: Cell) -> str | None:
        problem = obstacle(cell)
        return problem and f"regularizer 'pascanu' does not suit the cell {cell.name!r}: {problem}"

    def add(self, layer: Layer, inputs: Tensor, recorder: StateGradients) -> float | None:
        cell = layer.cell
        step = transition(cell, layer.phi)
        matrix = getattr(layer, step.matrix)
        with torch.no_grad():
            parameters = operands(cell, {name: getattr(layer, name) for name in cell.parameters})
            before, after = recorder.before(cell.output), recorder.values(cell.output)
            slopes = step.slopes(parameters, inputs, before, after)
            omega, gradient = self.penalty(recorder[cell.output], *slopes, u=matrix)
        matrix.backward(self.weight * gradient)  # down to the free numbers of a constrained matrix
        return omega

    def penalty(
        self, gradients: Tensor, through: Tensor, past: Tensor | None, u: Tensor
    ) -> tuple[float, Tensor]:
        """Ω and ∂Ω/∂U (H,H), for ∂h_k+1/∂h_k = diag(``through``) U + diag(``past``).

        ``gradients`` are ∂E/∂h_1 … ∂E/∂h_T (T,B,H), the slopes (T,B,H) or broadcast to it, ``past``
        None for 0. With "sum" the mean over sequences stays, as E is one.
        """
        sizes = _norms(gradients, self.bound)  # (T,B,1)
        counted = (sizes > 0) & (sizes >= sqrt(self.bound))
        delta = gradients * through
        carried = delta @ u  # (T,B,H), ∂E/∂h_k as far as it comes from ∂E/∂h_k+1
        if past is not None:
            carried += gradients * past
        safe = torch.where(counted, sizes, 1)
        ratio = torch.where(counted, _norms(carried, self.bound) / safe, 1)
        excess, outer = ratio**2 - 1, 4 * (ratio**2 - 1)
        if self.ratio == "plain":
            excess, outer = ratio - 1, 2 * (1 - 1 / torch.where(ratio > 0, ratio, 1))
        terms = int(counted.sum()) if self.over == "mean" else gradients.shape[1]
        share = 1 / max(terms, 1)
        # outer Σ delta carriedᵀ/size², each with a factor of 1/size, as the squares might overflow
        delta *= (outer * share / safe).to(delta.dtype)
        carried *= (counted / safe).to(carried.dtype)
        gradient = delta.flatten(0, 1).T @ carried.flatten(0, 1)
        return float(excess.square().sum()) * share, gradient


@dataclass(frozen=True)
class Transition:
    """∂h'/∂h = diag(∂h'/∂(U h)) U + diag(∂h'/∂h where U h is held) of a cell with one state.

    A slope that is a function of the new state, as tanh' = 1 - tanh², needs no pre-activation.
    """

    cell: Cell
    matrix: str
    through: sympy.Expr
    past: sympy.Expr
    inputs: tuple[Stage, ...]
    evaluate: tuple[Evaluate, Evaluate]

    def slopes(
        self, parameters: Mapping[str, Tensor], x: Tensor, before: Tensor, after: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """``through`` and ``past`` for x (T,B,I), the states h_0 … h_T-1 and h_1 … h_T (T,B,H).

        ``parameters`` are the cell's `operands`, the prelude among them.
        """
        values = {self.cell.output: before, self.cell.output + PRIME: after, **parameters}
        needed = {s.name for s in self.through.free_symbols | self.past.free_symbols}
        for stage in self.inputs:
            for matrix, symbol in zip(stage.matrices, stage.symbols, strict=True):
                if symbol.name in needed:
                    values[symbol.name] = lower(stage.operand)({INPUT: x}) @ parameters[matrix].T
        for symbol, product in self.cell.products.items():
            if product.matrix == self.matrix and symbol.name in needed:
                values[symbol.name] = before @ parameters[self.matrix].T
        through, past = (torch.as_tensor(f(values), dtype=x.dtype) for f in self.evaluate)
        return through, past if self.past != 0 else None


def obstacle(cell: Cell) -> str | None:
    """Why ∂h'/∂h is no diagonal times U plus a diagonal; None when it is."""
    if len(cell.states) != 1:
        return f"it needs one state, this has {' '.join(cell.states)}"
    if len(cell.recurrent_matrices) != 1:
        found = " ".join(cell.recurrent_matrices) or "none"
        return f"it needs one recurrent matrix, this has {found}"
    [matrix] = cell.recurrent_matrices
    operands = [p.operand for p in cell.products.values() if p.matrix == matrix]
    if operands != [sympy.Symbol(cell.output)]:
        return f"it needs {matrix} {cell.output}, the matrix applied to the state and nothing else"
    return None


@lru_cache(maxsize=64)
def transition(cell: Cell, phi: Nonlinearity) -> Transition:
    """By sympy's derivatives of the step with φ written out; for cells without an `obstacle`."""
    order = schedule(cell, phi)
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for item in order.steps:
        if not isinstance(item, Stage):
            values[item.symbol] = item.expression.xreplace(values)
    old, new = sympy.Symbol(cell.output), sympy.Symbol(cell.output + PRIME)
    step = values[new]
    [matrix] = cell.recurrent_matrices
    [applied] = [s for s, p in cell.products.items() if p.matrix == matrix]
    through = sympy.diff(step, applied).xreplace({step: new})
    past = sympy.diff(step, old).xreplace({step: new})
    return Transition(cell, matrix, through, past, order.inputs, (lower(through), lower(past)))


def _norms(vectors: Tensor, bound: float) -> Tensor:
    """(T,B,H) -> (T,B,1), in float64.

    Computed in float32, which is much faster, unless squares overflow there (from 1e19), or those
    that count are so small that they underflow.
    """
    if bound >= 1e-30:
        norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        if bool(norms.isfinite().all()):
            return norms.double()
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True, dtype=torch.float64)
