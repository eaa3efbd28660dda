"""The derivative of steps at given states: J v, Jᵀ v, and J itself block by block."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any

import torch
from sympy import Symbol
from torch import Tensor

from study.base.errors import unknown
from study.engines.derivatives.slopes import Slope, Slopes, slopes_of
from study.engines.prelude import operands
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity

Blocks = dict[tuple[str, str], Tensor]


def linearize(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    before: Mapping[str, Tensor],
) -> "Linearization":
    """Steps that read x (…,B,I) in the states ``before`` them (…,B,H), all of them at once.

    `study.engines.recording.StateGradients.before` of a pass has those states, so that no other
    pass is needed. By torch operations, so that a Jacobian can be differentiated in turn; under
    ``torch.no_grad`` nothing is kept for that, and all steps of an LSTM take about 1.3 times as long
    as its forward and backward pass in the native engine (64 sequences, 200 steps, 128 units).
    """
    plan = slopes_of(cell, phi)
    taken = operands(cell, parameters)
    values = plan.evaluate(taken, x, before)
    state = before[cell.output]
    return Linearization(plan, values, taken, state.shape, state.new_zeros(()))


@dataclass(frozen=True, eq=False)
class Linearization:
    """J = ∂(new states)/∂(old states) of steps, ``shape`` (…,B,H), kept as slopes and matrices.

    Vectors are given by state, (…,B,H), several of them with further dimensions in front; a state
    that is left out counts as zero. A product costs what the step's matrix products cost.
    """

    plan: Slopes
    slopes: Mapping[Symbol, Mapping[Symbol, Slope]]
    parameters: Mapping[str, Tensor]
    shape: torch.Size
    zero: Tensor  # a number of the right dtype and device

    def __getitem__(self, t: int) -> "Linearization":
        """Of step t alone, where the steps are (T,B,H)."""

        def at(slope: Slope) -> Slope:
            return slope[t] if isinstance(slope, Tensor) and slope.dim() > 1 else slope

        slopes = {
            target: {node: at(slope) for node, slope in parts.items()}
            for target, parts in self.slopes.items()
        }
        return Linearization(self.plan, slopes, self.parameters, self.shape[1:], self.zero)

    def jvp(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """J v by new state: what a small change v of the old states becomes."""
        old, new = self.plan.program.old, self.plan.program.new
        tangents = {old[name]: v for name, v in self._checked(vectors).items()}
        for stage in self.plan.stages:
            for column, products in stage.columns.items():
                terms = [
                    tangents[operand.symbol] @ self.parameters[matrix].T
                    for operand, matrix in products
                    if operand.symbol in tangents
                ]
                if terms:
                    tangents[column] = reduce(add, terms)
            for target in stage.targets:
                terms = [
                    slope * tangents[node]
                    for node, slope in self.slopes[target.symbol].items()
                    if node in tangents
                ]
                if terms:
                    tangents[target.symbol] = reduce(add, terms)
        return self._wide(vectors, {name: tangents.get(symbol) for name, symbol in new.items()})

    def vjp(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Jᵀ v by old state: what a gradient v of the new states becomes one step back."""
        old, new = self.plan.program.old, self.plan.program.new
        bars = {new[name]: v for name, v in self._checked(vectors).items()}
        self._back(bars)
        return self._wide(vectors, {name: bars.get(symbol) for name, symbol in old.items()})

    def apart(self, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """∂L/∂s' of each new state with the others held, given the total derivatives of all of them.

        `study.engines.recording.StateGradients` has totals: of an LSTM's c what reaches the loss through h
        of the same step is in it. As a vector the state has h beside c, and `vjp` adds that way by itself.
        """
        new = self.plan.program.new
        given = {new[name]: total for name, total in self._checked(totals).items()}
        handed = self._back({}, given, without=frozenset(self.plan.program.old.values()))
        return {
            name: total - handed[new[name]] if new[name] in handed else total
            for name, total in totals.items()
        }

    def _back(
        self,
        bars: dict[Symbol, Tensor],
        totals: Mapping[Symbol, Tensor] = MappingProxyType({}),
        without: Set[Symbol] = frozenset(),
    ) -> dict[Symbol, Tensor]:
        """From the new states' ``bars`` on back, into ``bars``; nodes ``without`` get no products.

        A state in ``totals`` has that for its own, in place of what later ones hand to it, which is
        returned.
        """
        handed: dict[Symbol, Tensor] = {}

        def hand(node: Symbol, bar: Tensor) -> None:
            bars[node] = bars[node] + bar if node in bars else bar

        for stage in reversed(self.plan.stages):
            for target in reversed(stage.targets):
                if target.symbol in totals:
                    if target.symbol in bars:
                        handed[target.symbol] = bars[target.symbol]
                    bars[target.symbol] = totals[target.symbol]
                if target.symbol in bars:
                    bar = bars[target.symbol]
                    for node, slope in self.slopes[target.symbol].items():
                        hand(node, slope * bar)
            for column, products in stage.columns.items():
                if column in bars:
                    for operand, matrix in products:
                        if operand.symbol not in without:
                            hand(operand.symbol, bars[column] @ self.parameters[matrix])
        return handed

    def blocks(self) -> Blocks:
        """``blocks["c", "h"]`` (…,B,H,H) with [b,i,j] = ∂c'_i/∂h_j, for every pair of states."""
        blocks: Blocks = {}
        for name, old in self.plan.program.old.items():
            maps = self._maps(old)
            for state, new in self.plan.program.new.items():
                blocks[state, name] = maps[new].full(self.zero, self.shape)
        return blocks

    def _maps(self, old: Symbol) -> "dict[Symbol, _Map]":
        """∂node/∂old for every node."""
        maps = {symbol: _Map() for symbol in self.plan.program.old.values()} | {old: _Map(1.0)}
        for stage in self.plan.stages:
            for column, products in stage.columns.items():
                terms = [maps[o.symbol].under(self.parameters[m]) for o, m in products]
                maps[column] = reduce(_Map.plus, terms, _Map())
            for target in stage.targets:
                parts = self.slopes[target.symbol].items()
                terms = [maps[node].scaled(slope) for node, slope in parts]
                maps[target.symbol] = reduce(_Map.plus, terms, _Map())
        return maps

    def _checked(self, vectors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        for name in vectors:
            if name not in self.plan.program.old:
                raise unknown("state", name, self.plan.program.old)
        return vectors

    def _wide(
        self, given: Mapping[str, Tensor], found: Mapping[str, Tensor | None]
    ) -> dict[str, Tensor]:
        shape = torch.broadcast_shapes(self.shape, *(v.shape for v in given.values()))
        return {name: (self.zero if v is None else v).expand(shape) for name, v in found.items()}


@dataclass(frozen=True)
class _Map:
    """A linear map from H to H values, a diagonal one plus a dense one; None is zero."""

    diagonal: Slope | None = None  # a number, (H,) or (…,B,H)
    dense: Tensor | None = None  # (H,H) or (…,B,H,H)

    def plus(self, other: "_Map") -> "_Map":
        return _Map(_sum(self.diagonal, other.diagonal), _sum(self.dense, other.dense))

    def scaled(self, slope: Slope) -> "_Map":
        """diag(slope) · self."""
        rows = slope[..., None] if isinstance(slope, Tensor) else slope
        return _Map(
            None if self.diagonal is None else slope * self.diagonal,
            None if self.dense is None else rows * self.dense,
        )

    def under(self, matrix: Tensor) -> "_Map":
        """matrix · self."""
        diagonal, dense = self.diagonal, None
        if isinstance(diagonal, Tensor):
            dense = matrix * diagonal[..., None, :]
        elif diagonal is not None:
            dense = matrix if diagonal == 1 else matrix * diagonal
        return _Map(None, _sum(dense, None if self.dense is None else matrix @ self.dense))

    def full(self, zero: Tensor, shape: torch.Size) -> Tensor:
        """(…,B,H,H), a tensor of its own."""
        whole = torch.Size([*shape, shape[-1]])
        dense = zero if self.dense is None else self.dense
        if self.diagonal is None:
            return dense.expand(whole).clone()
        return dense + torch.diag_embed((zero + self.diagonal).expand(shape))


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b
