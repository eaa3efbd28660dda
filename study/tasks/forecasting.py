"""Forecasting the value of a series some steps after the last one read."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional

from study.tasks.base import Batch, DatasetTask

STRIDE = 20  # points between two that are forecast, since windows of neighbours differ little
LONGEST, FARTHEST = 500, 300  # windows and horizons of a system integrated here
BEFORE = LONGEST + FARTHEST  # points, so that the longest window reaches back far enough


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
    """A system integrated here, from many initial states; scaled, a forecast of its mean loses 1."""

    solved_below: float

    @property
    def chance_loss(self) -> float:
        return 1.0

    @property
    def plateaus(self) -> Mapping[str, float]:
        """The forecast that nothing changes, where it beats the mean; measured on the training part."""
        training = self._splits["training"]
        level = float(self.loss(training.inputs[-1:, :, : self.output_size], training.targets))
        return {"the last value repeated": level} if 0 < level < self.chance_loss else {}

    @property
    def solved_rule(self) -> str:
        return f"loss below {self.solved_below:g}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_below


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
