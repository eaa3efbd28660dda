"""Forecasting the value of a series some steps after the last one read."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional

from study.tasks.base import Batch, DatasetTask


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
    series: np.ndarray, length: int, horizon: int, stride: int, targets: list[int]
) -> Batch:
    """From (L, D): inputs (length, N, D), and of the columns ``targets`` the value horizon later."""
    spans = sliding_window_view(series, length + horizon, axis=0)[::stride]  # (N, D, length + h)
    inputs = torch.from_numpy(np.ascontiguousarray(spans[:, :, :length], dtype=np.float32))
    wanted = torch.from_numpy(np.ascontiguousarray(spans[:, targets, -1], dtype=np.float32))
    return Batch(inputs.permute(2, 0, 1), wanted[None])


def trajectories(
    runs: np.ndarray, length: int, horizon: int, stride: int, targets: list[int]
) -> Batch:
    """The windows of every trajectory; from (L, M, D)."""
    each = [windows(runs[:, m], length, horizon, stride, targets) for m in range(runs.shape[1])]
    return Batch(torch.cat([b.inputs for b in each], 1), torch.cat([b.targets for b in each], 1))


def chaotic_splits(
    points: np.ndarray, length: int, horizon: int, targets: list[int]
) -> Mapping[Literal["training", "validation", "test"], Batch]:
    """Of the M trajectories in (L, M, D) a quarter trains, an eighth validates, the rest test."""
    first, second = points.shape[1] // 4, points.shape[1] * 3 // 8
    training = points[:, :first]
    scaled = (points - training.mean(axis=(0, 1))) / training.std(axis=(0, 1))
    parts = scaled[:, :first], scaled[:, first:second], scaled[:, second:]
    made = [trajectories(part, length, horizon, STRIDE, targets) for part in parts]
    return {"training": made[0], "validation": made[1], "test": made[2]}


STRIDE = 20  # points between the beginnings of two windows, whose neighbours differ little
