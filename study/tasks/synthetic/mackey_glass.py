"""Forecasting the Mackey-Glass equation."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.forecasting import BEFORE, FARTHEST, LONGEST, Chaotic, chaotic_splits

BETA, GAMMA, EXPONENT = 0.2, 0.1, 10
SUBSTEPS = 10  # of the integration in a unit of time, which is the sampling interval
# Units of time in which some are forecast, passed before all, and up to so many more.
POINTS, TRANSIENT, PHASES = 1000, 500, 200
RUNS = 256
SEED = 0


@TASKS.register
class MackeyGlass(Chaotic):
    """What will a chaotic series with a delay be ``horizon`` units of time from now?

    dx/dt = β x(t-τ)/(1 + x(t-τ)ⁿ) - γ x(t), β = 0.2, γ = 0.1, n = 10, Mackey & Glass (1977);
    chaotic at the usual delay τ = 17. Integrated by Runge-Kutta of order 4 in steps of 0.1 (values
    at τ before half steps by cubic interpolation) from 256 constant histories in (0.5, 1.3), sampled
    every unit after the first 500 to 700: 64 trajectories train, 32 validate, 160 test. One step ahead
    needs the value τ steps ago: a lag of 17, which a mean over the recent past cannot replace.

    Chance: the variance, 1 by the scaling. The usual horizons are 84 (Jaeger & Haas 2004) and 6 (Crowder
    1990), where six values say nearly all: a cubic in them has a loss of 0.0005, and of 0.14 at 84.
    Solved at half of the loss of such a polynomial.
    """

    title: ClassVar[str] = "Mackey-Glass forecasting"
    source: ClassVar[str] = (
        "Mackey & Glass (1977), Oscillation and chaos in physiological control systems; Crowder"
        " (1990), Predicting the Mackey-Glass time series with cascade-correlation learning"
    )

    name: Literal["mackey-glass"] = "mackey-glass"
    delay: int = Field(default=17, ge=2, le=100, description="τ, units of time")
    length: int = Field(default=50, ge=1, le=LONGEST, description="steps read, one a unit of time")
    horizon: int = Field(
        default=84, ge=1, le=FARTHEST, description="steps from the last read to the target"
    )

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        """The state is the stretch of one delay."""
        return 0, min(self.delay, self.steps - 1)

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return chaotic_splits(_points(self.delay), self.length, self.horizon, [0])


@lru_cache(maxsize=2)
def _points(delay: int) -> np.ndarray:
    rng = np.random.default_rng(SEED)
    history, phases = rng.uniform(0.5, 1.3, RUNS), rng.integers(0, PHASES, RUNS)
    x = integrate(history, delay, TRANSIENT + PHASES + BEFORE + POINTS)
    # All begin alike and diverge slowly: cut at the same times they would be nearly in phase.
    kept = TRANSIENT + phases + np.arange(BEFORE + POINTS)[:, None]
    return x[kept, np.arange(RUNS)][:, :, None]


def integrate(history: np.ndarray, delay: int, units: int, substeps: int = SUBSTEPS) -> np.ndarray:
    """x at 0, 1, …, units - 1 from constant histories (M); float64 (units, M)."""
    h, lag = 1 / substeps, delay * substeps
    x = np.empty((lag + 1 + units * substeps, len(history)))
    x[: lag + 1] = history

    def birth(delayed: np.ndarray) -> np.ndarray:
        return BETA * delayed / (1 + delayed**EXPONENT)

    last = birth(x[0])
    for now in range(lag, len(x) - 1):
        then = now - lag
        # Cubic interpolation, of order 4 as the steps are; before the history it is constant.
        outer = x[max(then - 1, 0)] + x[then + 2]
        middle = birth((9 * (x[then] + x[then + 1]) - outer) / 16)
        first, last = last, birth(x[then + 1])
        k1 = first - GAMMA * x[now]
        k2 = middle - GAMMA * (x[now] + h / 2 * k1)
        k3 = middle - GAMMA * (x[now] + h / 2 * k2)
        k4 = last - GAMMA * (x[now] + h * k3)
        x[now + 1] = x[now] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x[lag::substeps][:units]
