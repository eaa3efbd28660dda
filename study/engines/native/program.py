"""A step as a program: which columns of matrix products, then which statements, in which segments.

A cell's step alternates between matrix products and element-wise work. A `Segment` is one of each:
first its columns (sums of matrix products, input products and biases, such as W_i x + U_i h + b_i),
all computed together, then its statements, in single assignment form. An LSTM has one segment,
Cho's GRU two, because U_n (r*h) must wait for r.
"""

from dataclasses import dataclass, field

import sympy
from sympy import Expr, Symbol

from study.engines.columns import columns_of
from study.language.cell import Cell
from study.language.expressions import phi
from study.language.functions import FUNCTIONS
from study.language.nonlinearities import ARGUMENT, Nonlinearity
from study.language.notation import INPUT, PRIME

_FUNCTIONS = {entry.symbol: entry for entry in FUNCTIONS.values()}


@dataclass(frozen=True)
class Column:
    """H values a sequence: Σ matrix · operand + Σ vectors; ``products`` are (operand, matrix)."""

    symbol: Symbol
    products: tuple[tuple[int, str], ...]
    vectors: tuple[str, ...]


@dataclass(frozen=True)
class Operand:
    """What matrices are applied to: the input (``inputs`` in the program), or H values.

    ``symbol`` is an old or new state, or the target of a statement made for it.
    """

    symbol: Symbol
    segment: int  # where it becomes known; -1 before the first one
    is_input: bool


@dataclass(frozen=True)
class Statement:
    """``symbol`` = f(argument) with f elementary, or an expression without functions."""

    symbol: Symbol
    expression: Expr

    @property
    def function(self) -> str | None:
        entry = _FUNCTIONS.get(self.expression.func)
        return entry.name if entry else None


@dataclass
class Segment:
    columns: list[Column] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


def input_operands(cell: Cell) -> list[Expr]:
    """What of the input matrices are applied to: x itself, nearly always."""
    operands = dict.fromkeys(p.operand for p in cell.products.values())
    return [o for o in operands if {s.name for s in o.free_symbols} == {INPUT}]


class Program:
    """One time step of a cell with its nonlinearity.

    ``old`` and ``new`` are the states before and after, ``vectors`` the parameters that stand in
    the statements (peepholes), ``inputs`` the expressions of x that matrices are applied to.
    ``where`` tells in which segment a symbol gets its value; -1 for old states and vectors.
    """

    def __init__(self, cell: Cell, nonlinearity: Nonlinearity) -> None:
        self.cell = cell
        self.old = {name: Symbol(f"old_{i}") for i, name in enumerate(cell.states)}
        self.new = {name: Symbol(f"new_{i}") for i, name in enumerate(cell.states)}
        self.operands: list[Operand] = []
        self.inputs = input_operands(cell)
        self.vectors: dict[str, Symbol] = {}
        self.segments = [Segment()]
        self._phi = nonlinearity.expression
        self.where: dict[Symbol, int] = dict.fromkeys(self.old.values(), -1)
        self._operand_of: dict[Expr, int] = {}
        self._known: dict[Expr, Symbol] = {}
        self._names: dict[Symbol, Expr] = {Symbol(s): v for s, v in self.old.items()}
        self._merged = columns_of(cell)
        self._columns: dict[Expr, Symbol] = {}
        for assignment in cell.assignments:
            self._assign(assignment.target, assignment.expression)

    def defined(self, segment: int) -> list[Symbol]:
        return [s for s, k in self.where.items() if k == segment]

    def _assign(self, target: str, expression: Expr) -> None:
        value = self._value(expression)
        if not target.endswith(PRIME):
            self._names[Symbol(target)] = self._named(value)
            return
        new = self.new[target.removesuffix(PRIME)]
        self._state(new, value)
        self._names[Symbol(target)] = new

    def _state(self, symbol: Symbol, value: Expr, early: bool = False) -> Symbol:
        """Append ``symbol = value`` to the current segment, or to the first that can compute it."""
        segment = len(self.segments) - 1
        if early:
            segment = max([0, *(self.where[s] for s in value.free_symbols)])
        self.segments[segment].statements.append(Statement(symbol, value))
        self.where[symbol] = segment
        return symbol

    def _named(self, value: Expr, early: bool = False) -> Expr:
        """A symbol for the value; what has no symbols in it stays as it is."""
        if value.is_Symbol or not value.free_symbols:
            return value
        if value not in self._known:
            name = Symbol(f"value_{len(self.where)}")
            self._known[value] = self._state(name, value, early)
        return self._known[value]

    def _value(self, expression: Expr, early: bool = False) -> Expr:
        """The expression in symbols of the program alone, with what it needs put before it."""
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in self._merged:
                self._require(self._merged[symbol])
        return self._rewrite(expression, early)

    def _rewrite(self, node: Expr, early: bool) -> Expr:
        if node in self._merged:
            return self._columns[self._merged[node]]
        if node.is_Symbol:
            return self._names[node] if node in self._names else self._vector(node)
        if node.is_Add:  # terms of one column are replaced by it
            totals = dict.fromkeys(self._merged[a] for a in node.args if a in self._merged)
            rest = [self._rewrite(a, early) for a in node.args if a not in self._merged]
            return sympy.Add(*(self._columns[t] for t in totals), *rest)
        arguments = [self._rewrite(a, early) for a in node.args]
        if node.func == phi:
            argument = self._named(arguments[0], early)
            return self._calls(self._phi.subs(ARGUMENT, argument), early)
        if node.func in _FUNCTIONS:
            return self._named(node.func(*arguments), early)
        return node.func(*arguments) if arguments else node

    def _calls(self, node: Expr, early: bool) -> Expr:
        """Names the calls in an expression that is in the program's symbols already."""
        if not node.args:
            return node
        rebuilt = node.func(*(self._calls(a, early) for a in node.args))
        return self._named(rebuilt, early) if node.func in _FUNCTIONS else rebuilt

    def _vector(self, symbol: Symbol) -> Symbol:
        assert symbol.name in self.cell.operands, symbol
        known = self.vectors.setdefault(symbol.name, Symbol(f"vector_{len(self.vectors)}"))
        self.where[known] = -1
        return known

    def _require(self, total: Expr) -> None:
        """Have a column computed, in the current segment if what it needs is known before that."""
        if total in self._columns:
            return
        products, vectors = [], []
        for term in total.args if total.is_Add else (total,):
            if term in self.cell.products:
                product = self.cell.products[term]
                products.append((self._operand(product.operand), product.matrix))
            else:
                vectors.append(term.name)
        ready = max(self.operands[k].segment for k, _ in products)
        if ready >= len(self.segments) - 1:
            self.segments.append(Segment())
        symbol = Symbol(f"column_{len(self._columns)}")
        self._columns[total] = symbol
        self.where[symbol] = len(self.segments) - 1
        self.segments[-1].columns.append(Column(symbol, tuple(products), tuple(vectors)))

    def _operand(self, expression: Expr) -> int:
        if expression not in self._operand_of:
            self._operand_of[expression] = self._new_operand(expression)
        return self._operand_of[expression]

    def _new_operand(self, expression: Expr) -> int:
        if expression in self.inputs:
            operand = Operand(Symbol(f"input_{self.inputs.index(expression)}"), -1, True)
        else:
            value = self._value(expression, early=True)
            if value not in (*self.old.values(), *self.new.values()):
                symbol = Symbol(f"operand_{len(self.operands)}")
                value = self._state(symbol, value, early=True)
            operand = Operand(value, self.where[value], False)
        self.operands.append(operand)
        return len(self.operands) - 1
