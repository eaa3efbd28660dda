"""Forecasting the value of a series some steps after the last one read."""

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import combinations_with_replacement
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from study.tasks.base import Batch, DatasetTask

STRIDE = 20  # points between two that are forecast, since windows of neighbours differ little
LONGEST, FARTHEST = 500, 300  # windows and horizons of a system integrated here
BEFORE = LONGEST + FARTHEST  # points, so that the longest window reaches back far enough
WINDOW = 6  # values that a forecast without memory sees, and no more than a quarter of the steps
CUTOFFS = (
    1e-12,
    1e-6,
)  # of singular values; sometimes the one forecasts better, sometimes the other
MOST_TERMS = 300  # of a polynomial, for some thousand windows to fit


class Forecast(DatasetTask):
    """Windows of a series in, the value ``horizon`` steps after the window's last out.

    Series are scaled to mean 0 and variance 1 of the training part; the square root of the loss is
    the normalized root mean squared error (NRMSE).
    """

    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "mean squared error over the variance in training"

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(predictions, targets)


class Chaotic(Forecast):
    """A system integrated here, from many initial states; scaled, a forecast of its mean loses 1.

    Solved at ``solved_share`` of the loss of the best polynomial in the last few values, of degree 1 to
    3, fitted to the training part: what such a window tells takes no state that is kept.
    """

    solved_share: float = Field(
        default=0.5, gt=0, lt=1, description="of the best polynomial's loss in the last few values"
    )

    @property
    def chance_loss(self) -> float:
        return 1.0

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Of forecasts that take no memory, on the validation part, those that beat the mean."""
        validation = self._splits["validation"]
        last = validation.inputs[-1:, :, : self.output_size]
        levels = {
            "the last value repeated": float(self.loss(last, validation.targets)),
            f"best polynomial in {last_few(self.steps)}": self._polynomial,
        }
        return {name: level for name, level in levels.items() if 0 < level < self.chance_loss}

    @cached_property
    def _polynomial(self) -> float:
        training, validation = self._splits["training"], self._splits["validation"]
        losses = (polynomial_loss(training, validation, degree) for degree in (1, 2, 3))
        return min(self.chance_loss, *losses)

    @property
    def solved_loss(self) -> float:
        return self.solved_share * self._polynomial

    @property
    def solved_rule(self) -> str:
        return (
            f"loss below {self.solved_loss:.4g}, {self.solved_share:g} of that of the best polynomial in "
            f"{last_few(self.steps)}"
        )

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_loss


def few(steps: int) -> int:
    """How many of so many steps a forecast without memory sees."""
    return min(WINDOW, max(1, steps // 4))


def last_few(steps: int) -> str:
    return f"the last {few(steps)} values" if few(steps) > 1 else "the last value"


def polynomial_loss(training: Batch, held_out: Batch, degree: int) -> float:
    """Of the last few steps of all inputs, by least squares; infinite where it has too many terms.

    Directions whose singular value is below a cutoff, times the greatest, are left out: the least loss
    of the `CUTOFFS`.
    """

    def terms(batch: Batch) -> Tensor:  # (B,terms), float64
        steps = batch.inputs[-few(len(batch.inputs)) :]
        values = steps.transpose(0, 1).flatten(1).double()
        one = torch.ones(len(values), 1, dtype=torch.float64)
        whole = torch.cat([one, values], dim=1)
        found = combinations_with_replacement(range(whole.shape[1]), degree)
        return torch.stack([whole[:, list(chosen)].prod(1) for chosen in found], dim=1)

    inputs = few(len(training.inputs)) * training.inputs.shape[2]
    if math.comb(inputs + degree, degree) > MOST_TERMS:
        return math.inf
    wanted = training.targets[0].double()
    known, asked = terms(training), terms(held_out)

    def loss(cutoff: float) -> float:
        fitted = torch.linalg.lstsq(known, wanted, rcond=cutoff, driver="gelsd")
        return float((asked @ fitted.solution - held_out.targets[0]).square().mean())

    return min(map(loss, CUTOFFS))


def windows(
    series: np.ndarray, length: int, horizon: int, forecast: range, targets: list[int]
) -> Batch:
    """From (L, D): of the columns ``targets`` the values at the points ``forecast``, each for the
    ``length`` points that end ``horizon`` before; inputs (length, N, D).
    """
    spans = sliding_window_view(series, length, axis=0)  # (L - length + 1, D, length)
    starts = np.asarray(forecast) - horizon - length + 1
    inputs = torch.from_numpy(np.ascontiguousarray(spans[starts], dtype=np.float32))
    wanted = torch.from_numpy(np.ascontiguousarray(series[forecast][:, targets], dtype=np.float32))
    return Batch(inputs.permute(2, 0, 1), wanted[None])


def trajectories(
    runs: np.ndarray, length: int, horizon: int, forecast: range, targets: list[int]
) -> Batch:
    """The windows of every trajectory; from (L, M, D)."""
    each = [windows(runs[:, m], length, horizon, forecast, targets) for m in range(runs.shape[1])]
    return Batch(torch.cat([b.inputs for b in each], 1), torch.cat([b.targets for b in each], 1))


def chaotic_splits(
    points: np.ndarray, length: int, horizon: int, targets: list[int]
) -> Mapping[Literal["training", "validation", "test"], Batch]:
    """Of the M trajectories in (L, M, D) a quarter trains, an eighth validates, the rest test.

    Whatever the length and horizon the same points are forecast: all STRIDE from BEFORE on.
    """
    first, second = points.shape[1] // 4, points.shape[1] * 3 // 8
    training = points[:, :first]
    scaled = (points - training.mean(axis=(0, 1))) / training.std(axis=(0, 1))
    parts = scaled[:, :first], scaled[:, first:second], scaled[:, second:]
    forecast = range(BEFORE, len(points), STRIDE)
    made = [trajectories(part, length, horizon, forecast, targets) for part in parts]
    return {"training": made[0], "validation": made[1], "test": made[2]}
