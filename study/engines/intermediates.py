"""What a step computes on its way: every gate, candidate and new state, at given states."""

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
from study.language.notation import INPUT


def intermediates(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    before: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """By name, of steps that read x (…,B,I) in the states ``before`` them (…,B,H), all at once.

    A name is what stands left in an equation, "f" or "c'", or that of a matrix product, "U_f[h]", of a
    state before the step or of a vector; each is (…,B,H). By torch operations.
    """
    order, taken = _order(cell, phi), operands(cell, parameters)
    shape = before[cell.output].shape
    values: dict[str, Any] = {n: taken[n] for n, p in cell.operands.items() if p.columns is None}
    values |= before
    for stage in order.inputs:
        values |= _products(stage, _lowered(stage.operand)({INPUT: x}), taken)
    for item in order.steps:
        if isinstance(item, Stage):
            operand = _wide(_lowered(item.operand)(values), shape, x)
            values |= _products(item, operand, taken)
        else:
            values[item.target] = _lowered(item.expression)(values)
    return {name: _wide(value, shape, x) for name, value in values.items()}


_order: Callable[[Cell, Nonlinearity], Schedule] = lru_cache(maxsize=256)(schedule)
_lowered: Callable[[sympy.Expr], Evaluate] = lru_cache(maxsize=1024)(lower)


def _products(stage: Stage, operand: Tensor, taken: Mapping[str, Tensor]) -> dict[str, Tensor]:
    pairs = zip(stage.symbols, stage.matrices, strict=True)
    return {symbol.name: operand @ taken[matrix].T for symbol, matrix in pairs}


def _wide(value: Tensor | float, shape: torch.Size, like: Tensor) -> Tensor:
    if not isinstance(value, Tensor):  # an ablation may leave a number where a gate was
        return like.new_full(shape, float(value))
    return value.expand(shape)
