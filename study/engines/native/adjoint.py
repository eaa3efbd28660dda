"""The exact derivative of a step, segment by segment from the last to the first.

Every statement hands the gradient of its value (a bar, in the usual notation of reverse-mode
differentiation) to what stands in it, by sympy's derivative of the statement. Functions are
differentiated in terms of their value, which the forward pass has kept.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import sympy
from sympy import Expr, Symbol

from study.engines.native.program import Program, Statement
from study.language.functions import FUNCTIONS


@dataclass
class Adjoint:
    """One segment's derivative. ``bars`` are computed in this order; the rest is handed on.

    ``columns``: gradients of the segment's columns. ``old``, ``vectors``: contributions to the old
    states (by index) and the vectors. ``earlier``: contributions to values of earlier segments.
    ``records``: the complete gradient of each new state that the segment computes.
    """

    bars: list[tuple[Symbol, Expr]] = field(default_factory=list)
    columns: dict[Symbol, Expr] = field(default_factory=dict)
    old: dict[Symbol, Expr] = field(default_factory=dict)
    vectors: dict[Symbol, Expr] = field(default_factory=dict)
    earlier: dict[Symbol, Expr] = field(default_factory=dict)
    records: dict[Symbol, Symbol] = field(default_factory=dict)

    def expressions(self) -> list[Expr]:
        handed = (self.columns, self.old, self.vectors, self.earlier)
        return [e for _, e in self.bars] + [e for part in handed for e in part.values()]


def external(symbol: Symbol) -> Symbol:
    """The gradient that reaches a value from later segments or time steps."""
    return Symbol(f"later_{symbol.name}")


def adjoint(program: Program) -> list[Adjoint]:
    """Of each segment, in the order of the segments."""
    reached = {*program.new.values(), *(o.symbol for o in program.operands)}
    result: list[Adjoint] = []
    for k in reversed(range(len(program.segments))):
        result.insert(0, _segment(program, k, reached))
    return result


def _segment(program: Program, k: int, reached: set[Symbol]) -> Adjoint:
    out = Adjoint()
    parts: dict[Symbol, list[Expr]] = defaultdict(list)

    def total(symbol: Symbol) -> Expr:
        return sympy.Add(*parts[symbol], external(symbol) if symbol in reached else 0)

    def bar_of(name: str, value: Expr) -> Symbol:
        out.bars.append((Symbol(f"bar_{name}"), value))
        return out.bars[-1][0]

    for statement in reversed(program.segments[k].statements):
        gradient = total(statement.symbol)
        if gradient == 0:
            continue
        bar = bar_of(statement.symbol.name, gradient)
        if statement.symbol in program.new.values():
            out.records[statement.symbol] = bar
        inner, argument = pull_through(statement, bar)
        if inner != bar and not argument.is_Symbol:
            inner = bar_of(f"inside_{statement.symbol.name}", inner)
        for symbol in sorted(argument.free_symbols, key=str):
            parts[symbol].append(inner * sympy.diff(argument, symbol))

    columns = {c.symbol for c in program.segments[k].columns}
    old, vectors = set(program.old.values()), set(program.vectors.values())
    out.columns = {symbol: total(symbol) for symbol in sorted(columns, key=str)}
    for symbol in sorted(parts, key=str):
        contribution = sympy.Add(*parts[symbol])
        if symbol in old:
            out.old[symbol] = contribution
        elif symbol in vectors:
            out.vectors[symbol] = contribution
        elif program.where[symbol] < k:
            out.earlier[symbol] = contribution
            reached.add(symbol)
    return out


def pull_through(statement: Statement, bar: Symbol) -> tuple[Expr, Expr]:
    """(gradient of the argument, argument); without a function, the expression is its argument."""
    if statement.function is None:
        return bar, statement.expression
    entry, (argument,) = FUNCTIONS[statement.function], statement.expression.args
    if entry.c_pullback:
        return sympy.Function(entry.c_pullback)(statement.symbol, bar), argument
    dummy = sympy.Dummy()
    call = entry.symbol(dummy)
    slope = call.fdiff(1).subs(call, statement.symbol).subs(dummy, argument)
    return bar * slope, argument
