"""What gates do to a cell's state, read off its equations."""

from dataclasses import dataclass
from functools import lru_cache

import sympy
import torch

from study.language.cell import Cell
from study.language.functions import FUNCTIONS
from study.language.notation import PRIME

_sigmoid, _softplus = FUNCTIONS["sigmoid"].symbol, FUNCTIONS["softplus"].symbol


@dataclass(frozen=True)
class Keeper:
    """A gate that keeps the state near 1 (``sign`` 1) or replaces it there (``sign`` -1).

    At rest, when all but its bias b is 0, a share σ(sign·(b + offset)) of the state is kept each
    step: for a timescale of τ = 1 + e^(sign·(b + offset)) steps. The offset is what a cell adds to
    the bias in its equations, such as 1.
    """

    gate: str
    sign: int
    offset: float = 0.0

    @property
    def bias(self) -> str:
        return f"b_{self.gate}"


@lru_cache(maxsize=512)
def keeper(cell: Cell) -> Keeper | None:
    """By the cell's forget gate, or else its update gate.

    None when it has neither, and when the gate is no sigmoid around its bias: a hard one, which at
    most biases passes on no gradient, has no such timescale.
    """
    gate = cell.forget_gate or cell.update_gate
    if gate is None:
        return None
    targets = [a.target for a in cell.assignments]
    logit = _logit(written_out(cell, gate if gate in targets else gate + PRIME), f"b_{gate}")
    offset = logit - sympy.Symbol(f"b_{gate}")
    if not offset.is_number:
        return None
    return Keeper(gate, 1 if cell.forget_gate else -1, float(offset))


def _logit(gate: sympy.Expr, bias: str) -> sympy.Expr:
    """a, of a gate written σ(a), log σ(a) or a, at rest; what else a gate may be is returned whole."""
    others = gate.free_symbols - {sympy.Symbol(bias)}
    at_rest = gate.subs(dict.fromkeys(others, 0)).replace(_is_value, _value)
    if isinstance(at_rest, _sigmoid):
        return at_rest.args[0]
    if isinstance(-at_rest, _softplus):  # log σ(a) = -softplus(-a)
        return -(-at_rest).args[0]
    return at_rest


def _is_value(part: sympy.Basic) -> bool:
    return part.func.__name__ in FUNCTIONS and part.args[0].is_number


def _value(part: sympy.Basic) -> sympy.Expr:
    argument = torch.tensor(float(part.args[0]), dtype=torch.float64)
    return sympy.Float(float(FUNCTIONS[part.func.__name__].evaluate(argument)))


@lru_cache(maxsize=512)
def carries(cell: Cell, matrix: str) -> bool:
    """Whether a new state has the matrix times the state in it, and not in its gates alone.

    A gate is a sigmoid that multiplies something.
    """
    products = {symbol for symbol, product in cell.products.items() if product.matrix == matrix}
    return any(
        products & _gates_closed(written_out(cell, state + PRIME)).free_symbols
        for state in cell.states
    )


def _gates_closed(expression: sympy.Expr) -> sympy.Expr:
    def is_gated(part: sympy.Basic) -> bool:
        return part.is_Mul and sum(not factor.is_Number for factor in part.args) > 1

    return expression.replace(
        is_gated, lambda part: part.replace(_sigmoid, lambda argument: sympy.Dummy())
    )


def written_out(cell: Cell, target: str) -> sympy.Expr:
    """The right-hand side of ``target`` with those of the gates and states before it put in."""
    targets = [a.target for a in cell.assignments]
    at = targets.index(target)
    expression = cell.assignments[at].expression
    for assignment in reversed(cell.assignments[:at]):
        expression = expression.subs(assignment.symbol, assignment.expression)
    return expression
