"""Forecasting the columns of a CSV file with a time column."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor

from study.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.files import column, existing, missing, read_table
from study.tasks.forecasting import Forecast, windows


@TASKS.register
class CsvSeries(Forecast):
    """What will the values of a table be ``horizon`` rows from now?

    A CSV file (.tsv: tabs) with a header, a time column in rising order and columns of numbers
    without gaps; rows count as equally far apart. The first 70 % train, the next 10 % validate, the
    last 20 % test, and no window crosses from one part to another. Columns are scaled to mean 0 and
    variance 1 of the training rows.

    Chance: the training mean, which is 0, on the validation windows. The forecasts to beat, on the
    same windows: the last value, and with ``season`` the value one season (or as few as are known)
    before the target. Solved: a loss of at most ``solved_share`` of the best of these. A season is
    the lag, where there is one.
    """

    title: ClassVar[str] = "Forecasting a table of time series"
    source: ClassVar[str] = (
        "protocol after Zhou et al. (2021), Informer; naive forecasts after Hyndman &"
        " Athanasopoulos (2021), Forecasting, 5.2"
    )
    needs_files: ClassVar[bool] = True

    name: Literal["csv-series"] = "csv-series"
    path: str = Field(default="", description="the CSV file")
    time: str = Field(default="", description="the time column; the first one when empty")
    columns: str = Field(default="", description="columns read, a,b,c; all others when empty")
    targets: str = Field(default="", description="columns forecast, of those; all when empty")
    length: int = Field(default=100, ge=1, le=100_000, description="steps read, one a row")
    horizon: int = Field(
        default=1, ge=1, le=100_000, description="rows from the last read to the target"
    )
    season: int = Field(default=0, ge=0, le=100_000, description="rows a season; 0 for none")
    solved_share: float = Field(
        default=0.8, gt=0, lt=1, description="of the best naive forecast's loss"
    )

    @model_validator(mode="after")
    def _reads_a_season(self) -> "CsvSeries":
        if self.season and self._season_back >= self.length:
            raise ValueError(
                f"length = {self.length} does not reach one season back from the target; it takes "
                f"{self._season_back + 1}"
            )
        return self

    @property
    def _season_back(self) -> int:
        """Steps from the last row read back to the row whole seasons before the target."""
        return self.season * math.ceil(self.horizon / self.season) - self.horizon

    @property
    def _table(self) -> "Table":
        return _load(self.path, self.time, self.columns, self.targets)

    @property
    def input_size(self) -> int:
        return self._table.values.shape[1]

    @property
    def output_size(self) -> int:
        return len(self._table.targets)

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return self._level(0 * self.validation().targets)

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Those of the naive forecasts that beat the mean."""
        return {k: v for k, v in self._naive().items() if 0 < v < self.chance_loss}

    def _naive(self) -> dict[str, float]:
        inputs = self.validation().inputs[..., self._table.targets]
        found = {"the last value repeated": self._level(inputs[-1:])}
        if self.season:
            back = self._season_back
            seasonal = inputs[self.length - 1 - back][None]
            found["the value a season before"] = self._level(seasonal)
        return found

    def _level(self, forecast: Tensor) -> float:
        return float(self.loss(forecast, self.validation().targets))

    @property
    def _best(self) -> float:
        return min(self.chance_loss, *self._naive().values())

    @property
    def solved_loss(self) -> float:
        return self.solved_share * self._best

    @property
    def solved_rule(self) -> str:
        return (
            f"loss of at most {self.solved_loss:.4g}, {self.solved_share:g} of the "
            "best naive forecast's"
        )

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] <= self.solved_loss

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        table = self._table
        first, second = table.training, table.training + len(table.values) // 10
        parts = table.values[:first], table.values[first:second], table.values[second:]
        short = min(map(len, parts))
        if short < self.length + self.horizon:
            raise UserError(
                f"the shortest part of {self.path} has {short} rows, a window needs {self.length} + "
                f"{self.horizon}; shorten task.length or task.horizon"
            )
        made = [windows(part, self.length, self.horizon, 1, table.targets) for part in parts]
        return {"training": made[0], "validation": made[1], "test": made[2]}


@dataclass(frozen=True)
class Table:
    values: np.ndarray  # (rows, columns), scaled by the training rows
    targets: list[int]  # of these columns
    training: int  # rows


@lru_cache(maxsize=2)
def _load(path: str, time: str, columns: str, targets: str) -> Table:
    file = existing(path)
    if file is None or not file.is_file():
        raise missing(
            "csv-series",
            path,
            "a CSV file with a header, a time column and columns of numbers",
            "ETT, electricity and weather are such files",
        )
    header, rows = read_table(file)
    at = column(file, header, time or header[0])
    _check_times(file, [row[at] for row in rows])
    names = _names(columns) or [name for i, name in enumerate(header) if i != at]
    if not names:
        raise UserError(f"{file} has no column beside the time {header[at]!r}")
    places = [column(file, header, name) for name in names]
    wanted = _names(targets) or names
    if strange := set(wanted) - set(names):
        raise UserError(f"task.targets has {min(strange)!r}, which is not among the columns read")
    values = np.array([[_number(file, i, row[p]) for p in places] for i, row in enumerate(rows)])
    training = len(values) * 7 // 10
    seen = values[:training]
    if not len(seen):
        raise UserError(f"{file} has {len(values)} rows, too few to split")
    mean, std = seen.mean(axis=0), seen.std(axis=0)
    for name, deviation in zip(names, std, strict=True):
        if deviation == 0:
            raise UserError(f"{file}: {name!r} is constant in the training rows; leave it out")
    return Table((values - mean) / std, [names.index(name) for name in wanted], training)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _number(file: Path, row: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        told = repr(text[:40]) if text.strip() else "nothing"
        raise UserError(f"{file}, row {row + 1} below the header: {told} where a number should be")
    return value


def _check_times(file: Path, times: list[str]) -> None:
    """Numbers or ISO 8601, each after the one before."""
    try:
        moments = [_moment(time) for time in times]
        later = [b > a for a, b in pairwise(moments)]  # type: ignore[operator]
    except (ValueError, TypeError):
        raise UserError(
            f"{file}: the time column must be numbers, or dates such as 2016-07-01 00:00:00, all of "
            f"one kind (begins with {times[0][:40]!r}); set task.time to its name"
        ) from None
    if not all(later):
        row = later.index(False) + 2
        raise UserError(f"{file}, row {row} below the header: time does not go on; sort the rows")


def _moment(text: str) -> float | datetime:
    try:
        value = float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip())
    if not math.isfinite(value):
        raise ValueError(text)
    return value
