"""In which order a step computes its matrix products and its equations."""

from dataclasses import dataclass

import sympy

from study.language.cell import Cell
from study.language.expressions import Assignment
from study.language.expressions import phi as PHI
from study.language.nonlinearities import ARGUMENT, Nonlinearity
from study.language.notation import INPUT


@dataclass(frozen=True)
class Stage:
    """Matrices applied to one operand at one point of the step: one wide product does them all."""

    operand: sympy.Expr
    matrices: tuple[str, ...]
    symbols: tuple[sympy.Symbol, ...]


@dataclass(frozen=True)
class Schedule:
    """``inputs`` need no state and are done for all steps at once; ``steps`` alternate in order."""

    inputs: tuple[Stage, ...]
    steps: tuple[Stage | Assignment, ...]


def schedule(cell: Cell, phi: Nonlinearity) -> Schedule:
    """Each stage as late as its first use allows, so that it gathers every matrix it can.

    Matrices applied to the same operand share a stage: an LSTM has one recurrent stage of 4H rows,
    Cho's GRU two, of 2H rows and of H.
    """
    assignments = cell.bind(phi.expression, ARGUMENT)
    stages: dict[sympy.Expr, list[sympy.Symbol]] = {}
    for symbol, product in cell.products.items():
        stages.setdefault(product.operand, []).append(symbol)

    def stage(operand: sympy.Expr) -> Stage:
        symbols = tuple(stages[operand])
        bound = operand.replace(PHI, lambda value: phi.expression.subs(ARGUMENT, value))
        return Stage(bound, tuple(cell.products[s].matrix for s in symbols), symbols)

    inputs = [o for o in stages if {s.name for s in o.free_symbols} == {INPUT}]
    done = set(inputs)
    steps: list[Stage | Assignment] = []

    def require(expression: sympy.Expr) -> None:
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in cell.products:
                operand = cell.products[symbol].operand
                if operand not in done:
                    require(operand)  # a matrix may be applied to another one's product
                    steps.append(stage(operand))
                    done.add(operand)

    for assignment in assignments:
        require(assignment.expression)
        steps.append(assignment)
    return Schedule(tuple(stage(o) for o in inputs), tuple(steps))
