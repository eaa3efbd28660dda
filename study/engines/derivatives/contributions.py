"""The derivative of steps by their parameters: what each step adds to the gradient of the weights."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import sympy
import torch
from torch import Tensor

from study.engines.lowering import Evaluate, lower
from study.engines.prelude import operands
from study.engines.schedule import Schedule, Stage, schedule
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity
from study.language.notation import INPUT, PRIME


def parameter_terms(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    before: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """(∂L/∂s_{t+1})ᵀ ∂F(s_t, x_t, θ)/∂θ of steps that read x (T,B,I) in the states ``before`` (T,B,H).

    By parameter, (T, *its shape), the sum over the B sequences. ``gradients`` (T,B,H) are the total
    derivatives by the new states that `study.engines.recording.StateGradients` holds; a state that is
    left out counts as zero. They hold what one new state does to another within the step, as c' does to
    h' in an LSTM, so F is differentiated with the other new states as constants. Over all steps of a
    sequence the terms add up to the gradient of the loss. They are of ``parameters`` as they stand in
    the equations, fixed ones too.
    """
    with torch.enable_grad():
        steps = _Steps(cell, phi, parameters, len(x))
        total = steps.through(x, before, gradients)
    return steps.terms(total)


class _Steps:
    """One evaluation of the steps, all at once, in which every parameter has a place for each step."""

    def __init__(
        self, cell: Cell, phi: Nonlinearity, parameters: Mapping[str, Tensor], count: int
    ) -> None:
        self._order, self._count = _order(cell, phi), count
        self._parameters = {name: p.detach() for name, p in parameters.items()}
        self._vectors = {
            name: self._parameters[name].expand(count, 1, -1).clone().requires_grad_()
            for name, parameter in cell.parameters.items()
            if parameter.columns is None
        }
        taken = operands(cell, {**self._parameters, **self._vectors})
        self._values: dict[str, Any] = {
            name: taken[name] for name, p in cell.operands.items() if p.columns is None
        }
        self._products: list[tuple[Stage, Tensor, Tensor]] = []

    def through(
        self, x: Tensor, before: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> Tensor:
        """Σ ∂L/∂s' · s', the new states that others are computed from as constants."""
        values, like = self._values, next(iter(before.values()))
        values |= {name: state.detach() for name, state in before.items()}
        for stage in self._order.inputs:
            self._multiply(stage, _lowered(stage.operand)({INPUT: x}))
        total = x.new_zeros(())
        for item in self._order.steps:
            if isinstance(item, Stage):
                operand = _lowered(item.operand)(values)
                self._multiply(item, torch.as_tensor(operand).to(like).expand(like.shape))
                continue
            value = _lowered(item.expression)(values)
            if item.target.endswith(PRIME) and isinstance(value, Tensor):
                gradient = gradients.get(item.target.removesuffix(PRIME))
                if gradient is not None:
                    total = total + (gradient * value).sum()
                value = value.detach()
            values[item.target] = value
        return total

    def _multiply(self, stage: Stage, operand: Tensor) -> None:
        wide = torch.cat([self._parameters[matrix] for matrix in stage.matrices])
        product = operand @ wide.T
        if not product.requires_grad:
            product.requires_grad_()
        self._products.append((stage, operand.detach(), product))
        parts = product.chunk(len(stage.symbols), dim=-1)
        self._values |= {
            symbol.name: part for symbol, part in zip(stage.symbols, parts, strict=True)
        }

    def terms(self, total: Tensor) -> dict[str, Tensor]:
        found = {n: p.new_zeros(self._count, *p.shape) for n, p in self._parameters.items()}
        if not total.requires_grad:
            return found
        nodes = [product for _, _, product in self._products] + [*self._vectors.values()]
        slopes = torch.autograd.grad(total, nodes, allow_unused=True)
        for (stage, operand, _), slope in zip(self._products, slopes, strict=False):
            if slope is not None:
                outer = (slope.mT @ operand).chunk(len(stage.matrices), dim=1)
                for matrix, term in zip(stage.matrices, outer, strict=True):
                    found[matrix] = found[matrix] + term
        for name, slope in zip(self._vectors, slopes[len(self._products) :], strict=True):
            if slope is not None:
                found[name] = slope[:, 0]
        return found


_order: Callable[[Cell, Nonlinearity], Schedule] = lru_cache(maxsize=256)(schedule)
_lowered: Callable[[sympy.Expr], Evaluate] = lru_cache(maxsize=1024)(lower)
