"""Where a network under constant input stands still, or nearly so, and how it moves around there."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from study.language.notation import TIME
from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.minimization import minimized
from study.probes.step_map import StepMap
from study.probes.visits import LARGEST, Visits, order, spread_out, visits
from study.tasks.base import Batch, Task

STARTS = 32
SETTLING = 1000  # steps of constant input, after which half of the searches begin
VISITED = 4096  # states that the points found are compared with
FIXED = 1e-9  # of the largest norm visited: a speed that is rounding
SLOW = 0.01  # of the median speed on the task
UNIQUE = 1e-3  # of the largest norm visited: nearer points are one
MARGIN = 1e-6  # of |λ| to 1: what is nearer neither decays nor grows
FREQUENT = 0.1  # share of all inputs from which one stands for them
MOST_POINTS = 16
MOST_EIGENVALUES = 256


@dataclass(frozen=True)
class Point:
    """A state s with speed ‖F(s,x) - s‖, in units of the state per step.

    ``kind`` is "fixed" where the speed is rounding, else "slow", a minimum of the speed: there
    (∂F/∂s - I)ᵀ(F - s) is 0, so that 1 is an eigenvalue of every slow point. ``reached`` is the share of
    searches that ended here, ``attracts`` the share of the visited starts that the constant input brings
    here, within UNIQUE, in the ``settling`` steps; ``distance`` is that to the nearest state visited on
    the task. ``eigenvalues`` [re, im] are those of ∂F/∂s, the whole state's, up to MOST_EIGENVALUES, the
    largest modulus first; ``timescales`` -1/ln|λ| steps of the same, 0 where λ is 0 and None where |λ|
    is no less than 1 - MARGIN. ``unstable_directions`` counts |λ| > 1 + MARGIN. ``state`` has s by name.
    """

    kind: Literal["fixed", "slow"]
    speed: float
    reached: float
    attracts: float
    distance: float
    state: dict[str, list[float]]
    eigenvalues: list[list[float]]
    timescales: list[float | None]
    unstable_directions: int

    @property
    def stability(self) -> Literal["stable", "marginal", "unstable"]:
        """Of the linearization: marginal where no direction grows and one does not decay either."""
        if self.unstable_directions:
            return "unstable"
        return "marginal" if self.timescales[0] is None else "stable"


@dataclass(frozen=True)
class FixedPoints:
    """``points``, fixed ones first, of each kind those at which most searches ended, up to MOST_POINTS.

    How many different ones were found, kept or not: ``slow``, and of the fixed ones ``stable``,
    ``marginal`` and ``unstable``, in so many ``searches``; those that ended at none are the share
    ``lost``. ``input`` is the constant that the layer reads:
    what it reads at the task's "most frequent" input where that is a share FREQUENT of all, else its
    "mean". ``visited_speed`` is the median of ‖s_t+1 - s_t‖ on the task.
    """

    input_kind: Literal["most frequent", "mean"]
    input: list[float]
    searches: int
    stable: int
    marginal: int
    unstable: int
    slow: int
    lost: float
    visited_speed: float
    points: list[Point]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "FixedPoints":
        return cls(**{**given, "points": [Point(**point) for point in given["points"]]})

    @property
    def fixed(self) -> int:
        return self.stable + self.marginal + self.unstable

    def summary(self) -> dict[str, float]:
        """How many there are of each kind; of the points kept the largest |λ| and the lowest speed, and
        the longest timescale, in steps, of a fixed one where nothing grows."""
        counted = ("fixed", "stable", "marginal", "unstable", "slow", "lost")
        values = {name: float(getattr(self, name)) for name in counted}
        if self.points:
            values["lowest_speed"] = min(p.speed for p in self.points)
            values["spectral_radius"] = max(math.hypot(*p.eigenvalues[0]) for p in self.points)
        quiet = [p for p in self.points if p.kind == "fixed" and not p.unstable_directions]
        if known := [t for p in quiet for t in p.timescales if t is not None]:
            values["longest_timescale"] = max(known)
        return values


@PROBES.register(FixedPoints, at=("best",), dear=True)
@torch.no_grad()
def fixed_points(
    model: Model, task: Task, batch: Batch, starts: int = STARTS, settling: int = SETTLING
) -> FixedPoints | None:
    """Minima of q(s) = ½‖F(s,x) - s‖² from states visited on the task, under a constant input x.

    Sussillo & Barak (2013), Opening the black box: low-dimensional dynamics in high-dimensional
    recurrent neural networks. Each search is by itself, in float64, by Levenberg-Marquardt steps with
    the exact Jacobian. There is one from each of the ``starts``, which are evenly spread over what is
    visited, without a draw; and, which the source has not, one from where the constant input has
    brought that state after ``settling`` steps, so that no attractor of these starts is missed. A
    cell that reads a state from k steps back is searched where the steps between are equal, as they are
    at a fixed point; its eigenvalues are those of all of them, so that what only hands on adds zeros.

    Of the top layer, in the forward direction, with what the layers below hand it; of an encoder and a
    decoder, of the one that `visits` takes. None when a state explodes (`visits`), and for a cell that
    reads the index of the step (clockwork), which no constant input keeps still.
    """
    visited = visits(model, batch)
    if visited is None or TIME in visited.layer.cell.states:
        return None
    kind, x = constant_input(visited, batch)
    step = StepMap(visited, x)
    names = step.cell.variables
    before, after = (
        torch.cat([values[name][visited.inside] for name in names], dim=-1)
        for values in (visited.before, visited.after)
    )
    visited_speed = float((after - before).norm(dim=-1).median())
    scale = float(torch.cat([before, after]).norm(dim=-1).max())
    rows = spread_out(before, starts)
    settled = _settled(visited, x.expand(settling, len(rows), -1), rows)
    begun = torch.cat([before[rows], settled[(settled.abs() < LARGEST).all(dim=-1)]])
    before = before[spread_out(before, VISITED)]
    ended = minimized(step, begun, scale)
    speeds = (step(ended) - ended).norm(dim=-1)
    is_fixed = speeds <= FIXED * ended.norm(dim=-1).clamp(min=scale)
    is_slow = ~is_fixed & (speeds <= SLOW * visited_speed)
    near = UNIQUE * scale
    kinds: dict[Literal["fixed", "slow"], Tensor] = {"fixed": is_fixed, "slow": is_slow}
    points = [
        _point(
            step,
            ended[first],
            of_kind,
            reached=count / len(begun),
            attracts=float(((settled - ended[first]).norm(dim=-1) <= near).double().mean()),
            distance=float((before - ended[first]).norm(dim=-1).min()),
        )
        for of_kind, wanted in kinds.items()
        for first, count in _groups(ended, wanted, near).items()
    ]
    found = Counter(p.stability if p.kind == "fixed" else "slow" for p in points)
    return FixedPoints(
        input_kind=kind,
        input=x.tolist(),
        searches=len(begun),
        stable=found["stable"],
        marginal=found["marginal"],
        unstable=found["unstable"],
        slow=found["slow"],
        lost=float((~is_fixed & ~is_slow).sum()) / len(begun),
        visited_speed=visited_speed,
        points=points[:MOST_POINTS],
    )


def _settled(visited: Visits, x: Tensor, rows: Tensor) -> Tensor:
    """(n,N) where x (T,n,I) leads from those rows of the states visited."""
    layer = visited.layer
    state = {name: s[visited.inside][rows] for name, s in visited.before.items()}
    _, last = layer(x, state)
    return torch.cat([last[name] for name in layer.cell.variables], dim=-1)


def constant_input(
    visited: Visits, batch: Batch
) -> tuple[Literal["most frequent", "mean"], Tensor]:
    """(I,) what the layer reads, a mean over the steps at which the task shows its most frequent input;
    over all steps where no input is frequent."""
    read = visited.x[visited.inside]
    aligned = len(batch.inputs) == len(visited.x)
    shown = batch.inputs[visited.inside] if aligned else read
    _, which, counts = shown.unique(dim=0, return_inverse=True, return_counts=True)
    if counts.max() >= FREQUENT * len(shown) and len(counts) > 1:
        return "most frequent", read[which == counts.argmax()].mean(dim=0)
    return "mean", read.mean(dim=0)


def _groups(ended: Tensor, wanted: Tensor, near: float) -> dict[int, int]:
    """Of the ends that are wanted, the first of each point and how many came there, most first."""
    groups: dict[int, int] = {}
    for k in order(ended).tolist():
        if wanted[k]:
            home = _nearest(ended, k, groups, near)
            groups[k if home is None else home] = groups.get(k if home is None else home, 0) + 1
    return dict(sorted(groups.items(), key=lambda group: -group[1]))


def _nearest(ended: Tensor, k: int, others: Mapping[int, int], near: float) -> int | None:
    return next((o for o in others if (ended[o] - ended[k]).norm() <= near), None)


def _point(
    step: StepMap,
    s: Tensor,
    kind: Literal["fixed", "slow"],
    *,
    reached: float,
    attracts: float,
    distance: float,
) -> Point:
    values = torch.linalg.eigvals(step.whole_jacobian(s[None])[0])
    sizes, rows = values.abs().sort(descending=True, stable=True)
    return Point(
        kind=kind,
        speed=float((step(s[None])[0] - s).norm()),
        reached=reached,
        attracts=attracts,
        distance=distance,
        state={name: value[0].tolist() for name, value in step.by_name(s[None]).items()},
        eigenvalues=[[v.real, v.imag] for v in values[rows[:MOST_EIGENVALUES]].tolist()],
        timescales=[_timescale(size) for size in sizes[:MOST_EIGENVALUES].tolist()],
        unstable_directions=int((sizes > 1 + MARGIN).sum()),
    )


def _timescale(size: float) -> float | None:
    if size >= 1 - MARGIN:
        return None
    return -1 / math.log(size) if size > 0 else 0.0
