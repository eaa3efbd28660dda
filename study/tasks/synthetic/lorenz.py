"""Forecasting the Lorenz system."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.forecasting import BEFORE, FARTHEST, LONGEST, Chaotic, chaotic_splits

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
STEP = 0.01  # of the integration
SUBSTEPS = 5  # steps from one sample to the next
POINTS, TRANSIENT = 1000, 400  # samples in which some are forecast, and passed before all
TRAJECTORIES = 256
SEED = 0


@TASKS.register
class Lorenz(Chaotic):
    """Where will x of the Lorenz system be ``horizon`` samples from now?

    dx/dt = σ (y - x), dy/dt = x (ρ - z) - y, dz/dt = x y - β z with σ = 10, ρ = 28, β = 8/3,
    Lorenz (1963). Integrated by Runge-Kutta of order 4 in steps of 0.01 from 256 random points near
    the attractor, sampled every 0.05 after the first 20 units of time: 64 trajectories train, 32
    validate, 160 test. With ``observed`` "x" the state must be had from the past of x (Takens 1981):
    a lag of a few samples; with "xyz" one sample tells all and only the map is to be learned.

    Chance: the variance, 1 by the scaling. The largest Lyapunov exponent is 0.906 per unit of time:
    an error grows by e in 22 samples. Solved at half of the loss of the best polynomial in the last
    six samples, a cubic of x with 0.22 at the horizon of 10, a quadratic of all three with 0.26.
    """

    title: ClassVar[str] = "Lorenz forecasting"
    source: ClassVar[str] = "Lorenz (1963), Deterministic nonperiodic flow"

    name: Literal["lorenz"] = "lorenz"
    observed: Literal["x", "xyz"] = Field(default="x", description="what is read; x is forecast")
    length: int = Field(
        default=50, ge=1, le=LONGEST, description="steps read, 0.05 units of time each"
    )
    horizon: int = Field(
        default=10, ge=1, le=FARTHEST, description="steps from the last read to the target"
    )

    @property
    def input_size(self) -> int:
        return len(self.observed)

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        """Three values of x determine a state of three variables, where anything does."""
        return 0, min(2, self.steps - 1) if self.observed == "x" else 0

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        points = _points()[:, :, : self.input_size]
        return chaotic_splits(points, self.length, self.horizon, [0])


@lru_cache(maxsize=1)
def _points() -> np.ndarray:
    rng = np.random.default_rng(SEED)
    start = rng.normal((0, 0, 25), 5, (TRAJECTORIES, 3))
    return integrate(start, TRANSIENT + BEFORE + POINTS)[TRANSIENT:]


def integrate(start: np.ndarray, samples: int) -> np.ndarray:
    """The states at 0, 0.05, … from starts (M,3); float64 (samples, M, 3)."""

    def slope(s: np.ndarray) -> np.ndarray:
        x, y, z = s
        return np.stack((SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z))

    s, h = start.T.copy(), STEP
    kept = np.empty((samples, *start.shape))
    for sample in range(samples):
        kept[sample] = s.T
        for _ in range(SUBSTEPS):
            k1 = slope(s)
            k2 = slope(s + h / 2 * k1)
            k3 = slope(s + h / 2 * k2)
            k4 = slope(s + h * k3)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return kept
