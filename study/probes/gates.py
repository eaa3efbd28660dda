"""How far a network's gates are open on a task, how long they keep, and what its states grow to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from study.engines.intermediates import intermediates
from study.engines.lowering import lower
from study.language.cell import Cell
from study.language.expressions import phi as PHI
from study.language.functions import FUNCTIONS
from study.language.nonlinearities import ARGUMENT
from study.language.notation import PRIME
from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.visits import visits
from study.tasks.base import Batch, Task

CLOSED, OPEN = 0.1, 0.9  # beyond which a gate counts as saturated
_sigmoid, _softplus = FUNCTIONS["sigmoid"].symbol, FUNCTIONS["softplus"].symbol


@dataclass(frozen=True)
class GateActivity:
    """Of one gate, over all units, steps and sequences: its mean, and the shares below 0.1 and above 0.9."""

    mean: float
    closed: float
    open: float


@dataclass(frozen=True)
class Gates:
    """``activity`` by gate.

    ``timescales`` has for each unit τ = 1/(1 - k̄) steps, k̄ the mean over steps and sequences of the
    share of the state that its gate keeps: the forget gate f, or 1 - z of an update gate z (Tallec &
    Ollivier, 2018). A unit that always keeps all has None. ``timescales`` is None, and ``keeper``, the
    gate's name, where the cell has no such gate. ``lag`` is the task's, its fewest and most steps.

    ``norms[s][t]`` is the mean over sequences of ‖s_t‖ for each state s, ``drift_per_step[s]`` the
    least-squares slope of it against t over the later half of the steps, None where that is one step.
    ``zero[s]`` is the share of the units of s that are exactly 0 after every step of every sequence:
    with φ = relu, dead ones.
    """

    activity: dict[str, GateActivity]
    keeper: str | None
    timescales: list[float | None] | None
    lag: tuple[int, int]
    norms: dict[str, list[float]]
    drift_per_step: dict[str, float | None]
    zero: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lag": list(self.lag)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Gates":
        activity = {name: GateActivity(**of) for name, of in given["activity"].items()}
        return cls(**{**given, "activity": activity, "lag": tuple(given["lag"])})

    def summary(self) -> dict[str, float]:
        """Each gate's numbers as "f/mean"; of the timescales extremes, median and the share of units
        that reach the task's shortest lag; of each state the last norm, the drift and the zero units.

        A unit that keeps for ever counts as reaching, and has no place in extremes and median.
        """
        values = {f"{g}/{n}": v for g, of in self.activity.items() for n, v in asdict(of).items()}
        if self.timescales is not None:
            known = [tau for tau in self.timescales if tau is not None]
            if known:
                values["timescale_min"] = min(known)
                values["timescale_median"] = median(known)
                values["timescale_max"] = max(known)
            reach = sum(tau is None or tau >= self.lag[0] for tau in self.timescales)
            values["timescale_reaches_lag"] = reach / len(self.timescales)
        for state, norms in self.norms.items():
            values[f"{state}/last_norm"] = norms[-1]
            values[f"{state}/zero"] = self.zero[state]
            drift = self.drift_per_step[state]
            if drift is not None:
                values[f"{state}/drift_per_step"] = drift
        return values


@PROBES.register(Gates, at=("best",))
@torch.no_grad()
def gates(model: Model, task: Task, batch: Batch) -> Gates | None:
    """Measured in float64 at every step within the sequences; None when a state explodes (`visits`).

    Gates are the quantities that the cell's equations set to a sigmoid and multiply something by, and
    its forget, input and update gates as `activations` says; not a leak that is a parameter alone. Of
    the top layer, in the forward direction; of an encoder and a decoder, of the one that `visits` takes.
    """
    visited = visits(model, batch)
    if visited is None:
        return None
    cell, phi, inside = visited.layer.cell, visited.layer.phi, visited.inside
    values = intermediates(cell, phi, visited.parameters, visited.x, visited.before)
    opened = {
        name: lower(of.replace(PHI, lambda a: phi.expression.subs(ARGUMENT, a)))(values)[inside]
        for name, of in activations(cell).items()
    }  # (n,H)
    keeping = cell.forget_gate or cell.update_gate
    keeping = keeping if keeping in opened else None
    timescales = None
    if keeping is not None:
        kept = opened[keeping] if cell.forget_gate else 1 - opened[keeping]
        # From the share that is lost, which a gate near 1 rounds less.
        lost = (1 - kept).mean(dim=0).tolist()
        timescales = [1 / share if share > 0 else None for share in lost]
    norms = {s: _mean_norms(visited.after[s], inside) for s in cell.variables}
    return Gates(
        activity={
            name: GateActivity(
                mean=float(of.mean()),
                closed=float((of < CLOSED).double().mean()),
                open=float((of > OPEN).double().mean()),
            )
            for name, of in opened.items()
        },
        keeper=keeping,
        timescales=timescales,
        lag=task.lag,
        norms=norms,
        drift_per_step={s: _drift(of) for s, of in norms.items()},
        zero={
            s: float((visited.after[s][inside] == 0).all(dim=0).double().mean())
            for s in cell.variables
        },
    )


def activations(cell: Cell) -> dict[str, sympy.Expr]:
    """By gate, how far it is open, in [0, 1], from what `intermediates` gives.

    A gate is written σ(a); or a, where σ is taken of it when it is used, as in janet; or within a
    logarithm, log σ(a) = -softplus(-a), as in slstm. An exponential gate has no such number.
    """
    rights = [a.expression for a in cell.assignments]
    rights += [product.operand for product in cell.products.values()]
    found: dict[str, sympy.Expr] = {}
    for assignment in cell.assignments:
        gate, symbol = assignment.target.removesuffix(PRIME), assignment.symbol
        named = gate in cell.roles
        if isinstance(assignment.expression, _sigmoid):
            if named or any(_multiplies(symbol, right) for right in rights):
                found[gate] = symbol
        elif named:
            opened = _opened(assignment.expression, symbol, rights)
            if opened is not None:
                found[gate] = opened
    return found


def _multiplies(symbol: sympy.Symbol, right: sympy.Expr) -> bool:
    """Whether the right-hand side has a product with it, or with 1 less it, as a factor."""
    return any(
        symbol in factor.free_symbols - _within_functions(factor)
        for product in right.atoms(sympy.Mul)
        for factor in product.args
        if sum(not other.is_Number for other in product.args) > 1
    )


def _within_functions(part: sympy.Expr) -> set[sympy.Symbol]:
    return set().union(*(function.free_symbols for function in part.atoms(sympy.Function)))


def _opened(
    written: sympy.Expr, symbol: sympy.Symbol, rights: list[sympy.Expr]
) -> sympy.Expr | None:
    if written.is_Add and (logarithms := written.atoms(_softplus)):
        return _sigmoid(-min(logarithms, key=str).args[0])
    if written.atoms(sympy.Function):  # a hard sigmoid
        return symbol
    taken = _sigmoid(symbol)
    return taken if any(taken in right.atoms(_sigmoid) for right in rights) else None


def _mean_norms(states: Tensor, inside: Tensor) -> list[float]:
    """(T,B,H) -> T numbers, over the sequences that are as long."""
    count = inside.sum(dim=1)
    totals = torch.where(inside, states.norm(dim=-1), 0).sum(dim=1)
    return (totals[count > 0] / count[count > 0]).tolist()


def _drift(norms: list[float]) -> float | None:
    later = norms[len(norms) // 2 :]
    if len(later) < 2:
        return None
    return float(np.polynomial.polynomial.polyfit(range(len(later)), later, 1)[1])
