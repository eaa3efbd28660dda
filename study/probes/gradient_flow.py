"""How much of the gradient at the end of a sequence reaches each earlier step."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.credit import Credit
from study.engines.recording import StateGradients
from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.once import Once
from study.probes.rescaling import Rescaled, further
from study.tasks.base import NO_TARGET, Batch, Task
from study.tasks.generating import GeneratingTask

ROUNDING = 1e-12  # of the logarithm of a norm, over all lags
LARGEST = math.log(np.finfo(np.float64).max)


@dataclass(frozen=True)
class GradientFlow:
    """Mean over sequences of ‖∂L/∂s_t‖ against the lag to the last step, for each state s.

    The loss L is the one at the last step only: losses at every step would feed the gradient anew
    and hide its decay. ``norms[s][lag]`` for lag = 0 … T-1; where an answer is written after T steps
    are read, its steps count too, back from its last symbol that is no end. ``log_slope_per_step`` is the
    least-squares slope of the natural logarithm of the output state's norm against lag, over the
    lags where it is positive, and ``half_life_steps`` = ln 2/-slope; None where the norm does not
    decay, or fewer than two lags have a positive norm. With attention what was read is reached past
    the steps in between, so the slope is that of the steps that write, as many as all sequences have.
    ``written`` is the fewest and the most lags that are of steps that write, where an answer is written.

    A norm below what float64 holds, 1e-308, is 0 here, but has its logarithm in the slope: see
    `gradient_flow`.
    """

    norms: dict[str, list[float]]
    log_slope_per_step: float | None
    half_life_steps: float | None
    written: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "GradientFlow":
        written = given.get("written")
        return cls(**{**given, "written": tuple(written) if written else None})

    def summary(self) -> dict[str, float]:
        """The slope and the half-life, where there are any."""
        found = {
            "half_life_steps": self.half_life_steps,
            "log_slope_per_step": self.log_slope_per_step,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Followed:
    """The gradient of the loss at each sequence's last step, followed back through time.

    ``logs[s]`` (L,B): natural logarithms of ‖∂L/∂s_t‖ at each lag, -inf where it is 0 and where a
    sequence is shorter; ``there`` (L,B) says where it is not; ``written`` as in `GradientFlow`.
    """

    logs: dict[str, Tensor]
    there: Tensor
    written: tuple[int, int] | None

    def means(self, logs: Tensor) -> np.ndarray:
        """(L,B) logarithms -> those (L,) of the means over the sequences that are as long."""
        values: np.ndarray = (logs.logsumexp(dim=1) - self.there.sum(dim=1).double().log()).numpy()
        return values


@PROBES.register(GradientFlow, at=("init", "final"))
def gradient_flow(
    model: Model, task: Task, batch: Batch, once: Once | None = None
) -> GradientFlow | None:
    """Measured on a copy of the model in float64; None when a gradient is not finite.

    float64, because in float32, in which networks are trained, a norm below 1.2e-38 reads as exactly
    zero. Where it falls below 1e-120, the backward pass is repeated with the gradient multiplied by
    powers of two on its way, so that no lag is too long; where an answer is written, which is reached
    in many ways, it is not, and norms end at 1e-308. Of several layers it is the top one's flow, in the
    forward direction: what takes the way through other layers is not in it. Of hard attention it is the
    flow through the step looked at; which step that is has no gradient.
    """
    found = (once or Once())(followed, model, task, batch)
    if found is None:
        return None
    logs = {s: found.means(values) for s, values in found.logs.items()}
    fitted = found.written[0] if found.written and model.looks else None
    slope = _slope(logs[model.top.cell.output][:fitted])
    return GradientFlow(
        norms={s: np.exp(values).tolist() for s, values in logs.items()},
        log_slope_per_step=slope,
        half_life_steps=half_life(slope),
        written=found.written,
    )


def followed(model: Model, task: Task, batch: Batch) -> Followed | None:
    """As in `gradient_flow`, of every state of the top layer; None when something is not finite."""
    double, cell = deepcopy(model).double(), model.top.cell
    batch = batch.to(torch.float64)
    ends = last_steps(task, batch)
    recorders = _recorded(double, task, batch, ends[-1])
    gradients = [r[s] for r in recorders for s in cell.variables]
    # The extremes of what holds NaN are NaN; `isfinite` of every entry goes over memory twice more.
    if not all(extreme.isfinite() for g in gradients for extreme in g.aminmax()):
        return None
    scales = [torch.zeros(()) for _ in recorders]
    if len(recorders) == 1:
        recorders, scales = _rescaled(double, task, batch, ends[-1], recorders)
    logs, there = {}, torch.ones(0, 0, dtype=torch.bool)
    for state in cell.variables:
        passes = [
            _log_norms(r[state]) - math.log(2) * k for r, k in zip(recorders, scales, strict=True)
        ]
        logs[state], there = _by_lag(passes, ends)
    written = (int(ends[-1].min()) + 1, int(ends[-1].max()) + 1) if len(ends) > 1 else None
    found = Followed(logs, there, written)
    return found if all((found.means(v) < LARGEST).all() for v in logs.values()) else None


def _recorded(
    model: Model, task: Task, batch: Batch, ends: Tensor, credit: Credit | str = "full"
) -> list[StateGradients]:
    """Of each layer of the model's path, after a backward pass from the loss at the last step."""
    recorders = {layer: StateGradients() for layer in model.path}
    predictions = model(batch, recorders=recorders, credit=credit)
    last, targets = (at_the_end(values, ends) for values in (predictions, batch.targets))
    # The loss is a mean over sequences; times their number, each has the gradient of its own loss.
    (task.loss(last, targets) * len(batch)).backward()
    return list(recorders.values())


def _rescaled(
    model: Model, task: Task, batch: Batch, ends: Tensor, recorders: list[StateGradients]
) -> tuple[list[StateGradients], list[Tensor]]:
    """The recorders of a pass in which nothing vanishes for its size, and their scales (T,B).

    A scale is the binary logarithm of what the gradient is multiplied by. A sequence whose gradient is
    2^-600 of the largest one at the same time may still vanish: in a mean it does not count.
    """
    states = model.top.cell.states
    rule = Rescaled(exponents=(0,) * len(recorders[0][states[0]]))
    while True:
        sizes = torch.stack([recorders[0][s].abs().amax(dim=(1, 2)) for s in states]).amax(0)
        exponents = further(rule.exponents, sizes)
        if exponents == rule.exponents:
            return recorders, [rule.scale_after(ends)]
        rule = Rescaled(exponents=exponents)
        recorders = _recorded(model, task, batch, ends, rule)


def last_steps(task: Task, batch: Batch) -> list[Tensor]:
    """(B,) indices of each sequence's last step, of every pass: reading, and writing if there is.

    The last symbol written that is no end: that an answer ends is known by its length.
    """
    steps, size = batch.inputs.shape[:2]
    read = torch.full((size,), steps - 1) if batch.ends is None else batch.ends
    if not isinstance(task, GeneratingTask):
        return [read]
    symbols = (batch.targets != NO_TARGET) & (batch.targets != task.end)
    return [read, (torch.arange(len(symbols))[:, None] * symbols).amax(0)]


def at_the_end(values: Tensor, ends: Tensor) -> Tensor:
    """(S,B,…) -> (1,B,…) at each sequence's last step; the only one where S is 1."""
    if len(values) == 1:
        return values
    return values[ends, torch.arange(len(ends))][None]


def _log_norms(gradients: Tensor) -> Tensor:
    """(T,B,H) -> (T,B), natural logarithms. Scaled by the largest entry: squares underflow below 1e-162."""
    largest = gradients.abs().amax(dim=-1, keepdim=True)
    scale = torch.where(largest > 0, largest, 1)
    return (gradients / scale).norm(dim=-1).log() + scale.squeeze(-1).log()


def _by_lag(passes: Sequence[Tensor], ends: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(T,B) logarithms at time t of each pass, the first first -> at each lag (L,B), and where there are.

    ``ends`` (B,) of each pass: a sequence's last step there, after which the next pass begins.
    """
    back = torch.arange(sum(map(len, passes)))[:, None]  # steps before the end of the pass
    shape = len(back), passes[0].shape[1]
    values = torch.full(shape, -math.inf, dtype=passes[0].dtype)
    there = torch.zeros(shape, dtype=torch.bool)
    for logs, end in zip(reversed(passes), reversed(ends), strict=True):
        time = end - back
        inside = (time >= 0) & (back >= 0)
        values = torch.where(inside, logs.gather(0, time.clamp(0, len(logs) - 1)), values)
        there = there | inside
        back = back - (end + 1)
    reached = there.any(dim=1)
    return values[reached], there[reached]


def log_slope(norms: Sequence[float] | np.ndarray) -> float | None:
    """Least-squares slope of ln(norm) against lag; None with fewer than two positive norms.

    0 where it is no more than what rounding makes of equal norms.
    """
    values = np.asarray(norms, dtype=float)
    with np.errstate(divide="ignore"):
        return _slope(np.log(np.where(values > 0, values, 0)))


def _slope(logs: np.ndarray) -> float | None:
    lags = np.flatnonzero(logs > -math.inf)
    if len(lags) < 2:
        return None
    slope = float(np.polynomial.polynomial.polyfit(lags, logs[lags], 1)[1])
    return slope if abs(slope) * (lags[-1] - lags[0]) > ROUNDING else 0.0


def half_life(slope: float | None) -> float | None:
    """Steps in which the norm halves at that slope; None when it does not decay."""
    return math.log(2) / -slope if slope is not None and slope < 0 else None
