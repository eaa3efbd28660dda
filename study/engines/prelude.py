"""What the engines take of a cell's parameters."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import sympy
from torch import Tensor

from study.engines.lowering import Evaluate, lower
from study.language.cell import Cell

_evaluate: Callable[[sympy.Expr], Evaluate] = lru_cache(maxsize=256)(lower)


def operands(cell: Cell, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``cell.operands`` from ``cell.parameters``.

    What depends on vectors alone is computed here, once for a pass of either engine, by torch
    operations that autograd differentiates.
    """
    values = dict(parameters)
    for assignment in cell.prelude:
        values[assignment.target] = _evaluate(assignment.expression)(values)
    return {name: values[name] for name in cell.operands}
