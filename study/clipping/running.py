"""Rules with a memory of the run's earlier steps."""

from bisect import insort
from collections.abc import Sequence
from math import isfinite
from typing import Literal

from pydantic import Field
from torch import Tensor

from study.clipping.base import CLIPPING, Clipped, Clipper, Clipping, global_norm, shrink_to


@CLIPPING.register
class PercentileClipping(Clipping):
    """Norm clipping at the p-th percentile of all norms so far, this step's included.

    AutoClip of Seetharaman et al. (2020), who found p = 10 best: then most steps are clipped. Norms
    that are not finite do not enter the history.
    """

    name: Literal["percentile"] = "percentile"
    percentile: float = Field(default=10.0, ge=0, le=100)

    def start(self) -> Clipper:
        return _History(self.percentile).clip


class _History:
    def __init__(self, percentile: float) -> None:
        self._percentile = percentile
        self._sorted: list[float] = []

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        norm = float(global_norm(gradients))
        if not isfinite(norm):
            return Clipped.unchanged(norm)
        insort(self._sorted, norm)
        return shrink_to(self._threshold(), norm, gradients)

    def _threshold(self) -> float:
        """Interpolated between the two nearest, as numpy.percentile; the list is sorted already."""
        place = self._percentile / 100 * (len(self._sorted) - 1)
        below = int(place)
        above = min(below + 1, len(self._sorted) - 1)
        low, high = self._sorted[below], self._sorted[above]
        return low + (place - below) * (high - low)


@CLIPPING.register
class SkipClipping(Clipping):
    """A step whose gradient is not finite is left out; every other is made as it is.

    After ``patience`` steps left out in a row the next such step counts as divergence: a network
    that gives nothing else any more does not come back.
    """

    name: Literal["skip"] = "skip"
    patience: int = Field(default=10, ge=1, description="steps in a row that may be left out")

    def start(self) -> Clipper:
        return _Skipper(self.patience).clip


class _Skipper:
    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._in_a_row = 0

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        norm = float(global_norm(gradients))
        self._in_a_row = 0 if isfinite(norm) else self._in_a_row + 1
        return Clipped.unchanged(norm, skipped=0 < self._in_a_row <= self._patience)
