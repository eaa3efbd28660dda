"""Singular values of the Jacobians of single steps and of many in a row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.graded import Graded
from study.probes.trajectory import Step, Trajectory, in_order, reading
from study.tasks.base import Batch, Task

SEQUENCES = 4
TIMES = 8  # at which single steps are looked at
LARGEST = 256  # numbers of a state


@dataclass(frozen=True)
class Spectrum:
    """ln σ_i of a Jacobian, i = 1 … in falling order: ``mean`` over what was measured, and standard
    deviation, ``spread``.

    Both are None from the first i on whose σ_i is zero, or not resolved by float64, in any of them.
    """

    mean: list[float | None]
    spread: list[float | None]

    @property
    def log_condition(self) -> float | None:
        """ln(σ_1/σ_N) of the means: 0 is dynamical isometry. None where σ_N is."""
        first, last = self.mean[0], self.mean[-1]
        return None if first is None or last is None else first - last

    @property
    def log_rms(self) -> float | None:
        """The root of the mean square of the means, 0 in dynamical isometry alone; None where one is."""
        known = [m for m in self.mean if m is not None]
        if len(known) < len(self.mean):
            return None
        return math.sqrt(sum(m * m for m in known) / len(known))

    @classmethod
    def of(cls, logs: Tensor, resolved: Tensor) -> "Spectrum":
        """``logs`` (M,K) of M matrices, and which of them are resolved."""
        known = resolved.all(dim=0).tolist()
        spread, mean = torch.std_mean(logs, dim=0, correction=0)
        return cls(
            [m if k else None for m, k in zip(mean.tolist(), known, strict=True)],
            [s if k else None for s, k in zip(spread.tolist(), known, strict=True)],
        )


@dataclass(frozen=True)
class Jacobians:
    """Of the state s_t, all variables of the cell in one vector of N numbers, and of its blocks.

    ``step`` is of ∂s_{t+1}/∂s_t over sequences and ``times``; ``products`` of ∂s_T/∂s_{T-k}, over
    ``sequences`` ones, for each k of ``lags``: 1, 2, 4, … and as many as the shortest sequence has.
    Delayed values that a cell carries along belong to s_t. Both are None where N is beyond `LARGEST`
    and a block is smaller.

    ``step_blocks`` and ``product_blocks`` are of ∂v_{t+1}/∂v_t and ∂v_T/∂v_{T-k} for each variable v
    alone, as "c" of an LSTM: H numbers, and in a product every way through the other variables counts.
    """

    size: int
    sequences: int
    times: list[int]
    lags: list[int]
    step: Spectrum | None
    step_blocks: dict[str, Spectrum]
    products: list[Spectrum] | None
    product_blocks: dict[str, list[Spectrum]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Jacobians":
        def several(found: Sequence[Mapping[str, Any]]) -> list[Spectrum]:
            return [Spectrum(**spectrum) for spectrum in found]

        step, products = given["step"], given["products"]
        return cls(
            size=given["size"],
            sequences=given["sequences"],
            times=list(given["times"]),
            lags=list(given["lags"]),
            step=None if step is None else Spectrum(**step),
            step_blocks={name: Spectrum(**s) for name, s in given["step_blocks"].items()},
            products=None if products is None else several(products),
            product_blocks={name: several(s) for name, s in given["product_blocks"].items()},
        )

    def summary(self) -> dict[str, float]:
        """Natural logarithms; what is None is absent.

        ``step_log_largest`` ln σ_1, ``step_log_condition`` ln(σ_1/σ_N) and ``step_log_rms``, the root of
        the mean square of all ln σ_i, which is 0 in dynamical isometry alone; the same of the product
        over the longest lag, there divided by the lag.
        """
        found = {"step": (self.step, 1)}
        if self.products:
            found["product"] = (self.products[-1], self.lags[-1])
        values: dict[str, float] = {}
        for name, (spectrum, lag) in found.items():
            if spectrum is None:
                continue
            of_one = {
                "log_largest": spectrum.mean[0],
                "log_condition": spectrum.log_condition,
                "log_rms": spectrum.log_rms,
            }
            values |= {f"{name}_{key}": v / lag for key, v in of_one.items() if v is not None}
        return values


@PROBES.register(Jacobians, at=("init", "best"), dear=True)
@torch.no_grad()
def jacobians(
    model: Model,
    task: Task,
    batch: Batch,
    *,
    sequences: int = SEQUENCES,
    times: int = TIMES,
    largest: int = LARGEST,
) -> Jacobians | None:
    """Over some of the batch's sequences, back from each one's last step; None when a state or a
    Jacobian is not finite.

    Saxe, McClelland & Ganguli (2014) and Pennington, Schoenholz & Ganguli (2017) on dynamical isometry;
    Pascanu, Mikolov & Bengio (2013) bound σ_1 by the recurrent matrix, see `study.probes.audit`. Exact
    in float64, at any lag: see `study.probes.graded`. `study.probes.trajectory.reading` says of which
    layer. It takes time as T·N³ for the whole state, and T·N·H² for each block: 3.5 s on one core for an
    LSTM of 64 units on four sequences of 100 steps.
    """
    some = in_order(batch).take(slice(sequences))
    read = reading(model, task, some)
    path = read.trajectory()
    shortest = int(read.lengths.min())
    chosen = torch.linspace(0, shortest - 1, min(times, shortest)).round().long().unique()
    back = path.at(read.lengths - 1 - torch.arange(shortest)[:, None])
    if not back.is_finite:
        return None
    lags = [2**n for n in range(shortest.bit_length()) if 2**n < shortest] + [shortest]
    parts: list[str | None] = [*path.cell.variables]
    if path.size <= largest and path.size > path.hidden:
        parts.append(None)
    try:
        steps = {part: _steps(path.at(chosen), part) for part in parts}
        products = {part: _products(back, lags, part) for part in parts}
    except _NotFinite:
        return None
    # Of a state that is one variable the whole is that block.
    whole = None if path.size > path.hidden else path.cell.output
    return Jacobians(
        size=path.size,
        sequences=len(some),
        times=chosen.tolist(),
        lags=lags,
        step=steps.get(whole),
        step_blocks={v: steps[v] for v in path.cell.variables},
        products=products.get(whole),
        product_blocks={v: products[v] for v in path.cell.variables},
    )


class _NotFinite(Exception):
    """The Jacobian of some step is not finite."""


def _steps(path: Trajectory, variable: str | None) -> Spectrum:
    start = _start(path, variable)
    found = [_followed(start, step) for step in path.steps()]
    logs, resolved = zip(*(_singular_values(one, path, variable) for one in found), strict=True)
    return Spectrum.of(torch.cat(logs), torch.cat(resolved))


def _products(back: Trajectory, lags: Sequence[int], variable: str | None) -> list[Spectrum]:
    """``back`` begins with the last step; what is followed is the transpose, ∂s_T/∂s_{T-k}ᵀ."""
    product, found = _start(back, variable), []
    for lag, step in enumerate(back.steps(), start=1):
        product = _followed(product, step)
        if lag in lags:
            found.append(Spectrum.of(*_singular_values(product, back, variable)))
    return found


def _start(path: Trajectory, variable: str | None) -> Graded:
    """The identity (B,N,N), or its columns (B,N,H) that belong to a variable."""
    columns = torch.eye(path.size, dtype=torch.float64)[:, path.place(variable)]
    return Graded.start(columns.repeat(path.x.shape[1], 1, 1))


def _followed(product: Graded, step: Step) -> Graded:
    # ‖Jᵀv‖ of a v without any order is about ‖J‖_F, also where the product's columns are in no place
    # in which J is large.
    places = torch.arange(product.q.shape[1], dtype=torch.float64)
    other = (1 + places**2).sin().repeat(len(product.q), 1)[..., None]
    columns = step.back(torch.cat([product.q, other], dim=2))
    if not columns.isfinite().all():
        raise _NotFinite
    return product.after(columns[..., :-1], columns[..., -1].norm(dim=1, keepdim=True))


def _singular_values(
    product: Graded, path: Trajectory, variable: str | None
) -> tuple[Tensor, Tensor]:
    if variable is not None:
        rows = product.q[:, path.place(variable)]
        product = product.after(rows, rows.new_ones(len(rows), 1))
    return product.log_singular_values()
