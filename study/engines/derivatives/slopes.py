"""The element-wise part of a step's Jacobian.

A step's nodes are its old states, its columns (sums of matrix products), and its targets: the new
states and the values that matrices are applied to. Between nodes everything is element-wise, so
that the derivative of a target with respect to a node before it is one number a unit, its slope.
With the matrices, which lead from targets to columns, the slopes make up the whole Jacobian.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from typing import Any

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor
from torch.nn.functional import linear

from study.engines.lowering import Evaluate, lower
from study.engines.native.adjoint import pull_through
from study.engines.native.memory import empty
from study.engines.native.program import Column, Operand, Program, Statement
from study.language.cell import Cell
from study.language.expressions import phi
from study.language.nonlinearities import ARGUMENT, Nonlinearity
from study.language.notation import INPUT

Slope = Tensor | float  # (…,B,H); a number where the equations say so, (H,) where a parameter does

# Numbers of a state that are worked on at a time: temporaries then stay in the processor's cache.
CHUNK = 1 << 16


@dataclass(frozen=True)
class Target:
    """∂target/∂node for each node that depends on the old states.

    ``bars`` come first, in this order: they name what several slopes share.
    """

    symbol: Symbol
    slopes: dict[Symbol, Expr]
    bars: tuple[tuple[Symbol, Expr], ...]

    def expressions(self) -> list[Expr]:
        return [e for _, e in self.bars] + list(self.slopes.values())


@dataclass(frozen=True)
class Stage:
    """A segment's columns that depend on the old states, with the products that do, and targets.

    A target's nodes are old states, columns of this stage or earlier ones, and earlier targets.
    """

    columns: dict[Symbol, tuple[tuple[Operand, str], ...]]
    targets: tuple[Target, ...]


def stages(program: Program) -> list[Stage]:
    """One for each segment of the program, in their order."""
    old = set(program.old.values())
    wanted = {*program.new.values(), *(o.symbol for o in program.operands if not o.is_input)} - old
    columns = {c.symbol for segment in program.segments for c in segment.columns}
    depend = set(old)
    done: list[Statement] = []
    found: list[Stage] = []
    for segment in program.segments:
        active = {c.symbol: _products(program, c, depend) for c in segment.columns}
        active = {symbol: products for symbol, products in active.items() if products}
        depend |= active.keys()
        targets: list[Target] = []
        for statement in segment.statements:
            done.append(statement)
            if statement.symbol in wanted:
                target = _target(done, old | columns | wanted, depend)
                targets.append(target)
                if target.slopes:
                    depend.add(target.symbol)
        found.append(Stage(active, tuple(targets)))
    return found


def _products(
    program: Program, column: Column, depend: set[Symbol]
) -> tuple[tuple[Operand, str], ...]:
    products = ((program.operands[o], matrix) for o, matrix in column.products)
    return tuple((o, matrix) for o, matrix in products if o.symbol in depend)


def _target(statements: list[Statement], nodes: set[Symbol], depend: set[Symbol]) -> Target:
    """Of the last statement, backwards through the others as far as the nodes."""
    target = statements[-1].symbol
    parts: dict[Symbol, list[Expr]] = defaultdict(list, {target: [sympy.Integer(1)]})
    bars: list[tuple[Symbol, Expr]] = []
    for statement in reversed(statements):
        if statement.symbol in nodes and statement.symbol != target:
            continue
        bar = sympy.Add(*parts.pop(statement.symbol, ()))
        if bar == 0:
            continue
        inner, argument = pull_through(statement, bar)
        if len(argument.free_symbols) > 1 and not inner.is_Atom:
            # A name keeps expressions short: handed on as it is, it would grow at every branching.
            bars.append((Symbol(f"bar_{target}_{statement.symbol}"), inner))
            inner = bars[-1][0]
        for symbol in sorted(argument.free_symbols, key=str):
            parts[symbol].append(inner * sympy.diff(argument, symbol))
    totals = {s: sympy.Add(*parts[s]) for s in sorted(parts, key=str) if s in depend}
    return Target(target, {s: e for s, e in totals.items() if e != 0}, tuple(bars))


class Slopes:
    """Of a cell with its nonlinearity: ``stages``, and their values by ``evaluate``."""

    def __init__(self, cell: Cell, nonlinearity: Nonlinearity) -> None:
        self.program = program = Program(cell, nonlinearity)
        self.stages = stages(program)
        targets = [target for stage in self.stages for target in stage.targets]
        read = {s for target in targets for e in target.expressions() for s in e.free_symbols}
        needed = _needed(program, read)
        self._inputs = [
            lower(o.replace(phi, lambda a: nonlinearity.expression.subs(ARGUMENT, a)))
            for o in program.inputs
        ]
        self._step = [
            (
                [c for c in segment.columns if c.symbol in needed],
                [
                    _lowered(s.symbol, s.expression)
                    for s in segment.statements
                    if s.symbol in needed
                ],
            )
            for segment in program.segments
        ]
        self._targets = [
            (t.symbol, [_lowered(*bar) for bar in t.bars], [_lowered(*s) for s in t.slopes.items()])
            for t in targets
        ]

    def evaluate(
        self, parameters: Mapping[str, Tensor], x: Tensor, before: Mapping[str, Tensor]
    ) -> dict[Symbol, dict[Symbol, Slope]]:
        """By target and node, for steps that read x (…,B,I) in the states ``before`` (…,B,H)."""
        state = before[self.program.cell.output]
        whole = torch.is_grad_enabled() or state.device.type != "cpu" or state.dim() < 3
        if whole or state.numel() <= CHUNK:
            return self._evaluate(parameters, x, before)
        size = max(1, CHUNK // state[0].numel())
        slopes: dict[Symbol, dict[Symbol, Slope]] = {}
        for k in range(0, len(state), size):
            steps = slice(k, k + size)
            some = self._evaluate(parameters, x[steps], {n: s[steps] for n, s in before.items()})
            if not slopes:
                slopes = {
                    target: {node: _room(slope, len(state)) for node, slope in parts.items()}
                    for target, parts in some.items()
                }
            for target, parts in some.items():
                for node, slope in parts.items():
                    room = slopes[target][node]
                    if isinstance(room, Tensor) and room.dim() > 1:
                        room[steps] = slope
        return slopes

    def _evaluate(
        self, parameters: Mapping[str, Tensor], x: Tensor, before: Mapping[str, Tensor]
    ) -> dict[Symbol, dict[Symbol, Slope]]:
        program = self.program
        values: dict[str, Any] = {s.name: before[name] for name, s in program.old.items()}
        values |= {s.name: parameters[name] for name, s in program.vectors.items()}
        values |= {f"input_{k}": of({INPUT: x}) for k, of in enumerate(self._inputs)}
        for columns, statements in self._step:
            for column in columns:
                values[column.symbol.name] = self._column(column, parameters, values)
            for symbol, of in statements:
                values[symbol.name] = of(values)
        slopes = {}
        for target, bars, parts in self._targets:
            for symbol, of in bars:
                values[symbol.name] = of(values)
            slopes[target] = {node: of(values) for node, of in parts}
        return slopes

    def _column(
        self, column: Column, parameters: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> Tensor:
        vectors = [parameters[name] for name in column.vectors]
        bias = reduce(add, vectors) if vectors else None
        terms: list[Tensor] = []
        for operand, name in column.products:
            matrix, value = parameters[name], values[self.program.operands[operand].symbol.name]
            # An ablation may leave a number where the equations say a vector.
            wide = value if isinstance(value, Tensor) else matrix.new_full(matrix.shape[1:], value)
            terms.append(linear(wide, matrix, None if terms else bias))
        return reduce(add, terms)


slopes_of: Callable[[Cell, Nonlinearity], Slopes] = lru_cache(maxsize=256)(Slopes)


def _room(slope: Slope, steps: int) -> Slope:
    """For the slopes of all steps, given some of them; the same where they are the same for all."""
    if isinstance(slope, Tensor) and slope.dim() > 1:
        return empty((steps, *slope.shape[1:]), slope.dtype)
    return slope


def _lowered(symbol: Symbol, expression: Expr) -> tuple[Symbol, Evaluate]:
    return symbol, lower(expression)


def _needed(program: Program, read: set[Symbol]) -> set[Symbol]:
    """``read`` and all that it is computed from."""
    needed = set(read)
    for segment in reversed(program.segments):
        for statement in reversed(segment.statements):
            if statement.symbol in needed:
                needed |= statement.expression.free_symbols
        for column in segment.columns:
            if column.symbol in needed:
                needed |= {program.operands[o].symbol for o, _ in column.products}
    return needed
