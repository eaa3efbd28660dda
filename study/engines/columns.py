"""Which products of matrices are added up before anything else is done with them.

A column is such a sum with the biases in it, W_i x + U_i h + b_i: what a gate's function is applied
to, its pre-activation without the peepholes.
"""

from collections.abc import Iterator, Sequence

import sympy
from sympy import Expr, Symbol
from torch import Tensor

from study.language.cell import Cell


def columns_of(cell: Cell) -> dict[Symbol, Expr]:
    """The column of every product, and of every vector that stands in a column only."""
    return dict(_merge(cell))


def entries(cell: Cell, shape: Sequence[int], lengths: Tensor | None) -> int:
    """Numbers in all columns of a pass of ``shape`` (T,B,H), within the ``lengths``."""
    steps, batch, hidden = shape
    rows = steps * batch if lengths is None else int(lengths.sum())
    return rows * hidden * len(set(columns_of(cell).values()))


def _terms(node: Expr, parent: Expr | None = None) -> Iterator[tuple[Expr | None, Expr]]:
    """(parent, node) for every node of a tree."""
    yield parent, node
    for argument in node.args:
        yield from _terms(argument, node)


def _merge(cell: Cell) -> Iterator[tuple[Symbol, Expr]]:
    """(term, column): products that stand in one sum only, with the vectors beside them there.

    Found before φ is put in, because sympy multiplies a number, such as leaky relu's 0.01, into a
    sum.
    """
    expressions = [a.expression for a in cell.assignments]
    expressions += list(dict.fromkeys(p.operand for p in cell.products.values()))
    parents: dict[Symbol, set[Expr | None]] = {}
    for expression in expressions:
        for parent, node in _terms(expression):
            if node.is_Symbol:
                parents.setdefault(node, set()).add(parent)
    vectors = {name for name, p in cell.operands.items() if p.columns is None}
    for symbol in cell.products:
        [*places] = parents.get(symbol, ())
        if len(places) != 1 or places[0] is None or not places[0].is_Add:
            yield symbol, symbol
            continue
        beside = [
            t
            for t in places[0].args
            if parents.get(t) == {places[0]} and (t in cell.products or t.name in vectors)
        ]
        for column in _one_of_each_operand(beside, cell):
            yield from ((term, sympy.Add(*column)) for term in column)


def _one_of_each_operand(terms: list[Symbol], cell: Cell) -> list[list[Symbol]]:
    """The terms of a sum by column: two matrices applied to one operand are of two columns."""
    columns: list[list[Symbol]] = [[]]
    taken: list[set[Expr]] = [set()]
    for term in terms:
        if term not in cell.products:
            columns[0].append(term)
            continue
        operand = cell.products[term].operand
        k = next((k for k, operands in enumerate(taken) if operand not in operands), len(taken))
        if k == len(taken):
            columns.append([])
            taken.append(set())
        columns[k].append(term)
        taken[k].add(operand)
    return columns
