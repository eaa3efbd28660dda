"""Forecasting the columns of a CSV file with a time column."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from study.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.files import column, existing, missing, read_table
from study.tasks.forecasting import Forecast
from study.tasks.lazy import LazyBatch
from study.tasks.measurements import read_number, scale

MEAN = "the training mean"
PERFECT = 1e-12  # a loss of float32's rounding: the square of 6e-8, with some room


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
    def channels(self) -> Sequence[str]:
        return self._table.names

    @property
    def answers(self) -> Sequence[str]:
        return [self._table.names[i] for i in self._table.targets]

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return self._levels[MEAN]

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Those of the naive forecasts that beat the mean."""
        return {k: v for k, v in self._levels.items() if 0 < v < self.chance_loss}

    @cached_property
    def _levels(self) -> dict[str, float]:
        """The losses of the naive forecasts on the validation windows."""
        values = self._parts["validation"][:, self._table.targets]
        windows = len(values) - self.length - self.horizon + 1
        wanted = values[-windows:]
        back = {"the last value repeated": 0}
        if self.season:
            back["the value a season before"] = self._season_back
        known = {k: values[self.length - 1 - b :][:windows] for k, b in back.items()}
        forecasts = {MEAN: torch.zeros_like(wanted)} | known
        return {name: float(self.loss(made, wanted)) for name, made in forecasts.items()}

    @property
    def _best(self) -> float:
        return min(self._levels.values())

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

    def check_data(self) -> None:
        super().check_data()
        best = min(self._levels, key=self._levels.__getitem__)
        if self._levels[best] <= PERFECT:
            raise UserError(
                f"{self.path}: {best} is without error in the validation rows, so that no network "
                "can do better; name other columns in task.columns or task.targets"
            )

    @cached_property
    def _parts(self) -> Mapping[Literal["training", "validation", "test"], Tensor]:
        """(rows, columns) each."""
        table = self._table
        first, second = table.training, table.training + len(table.values) // 10
        short = min(first, second - first, len(table.values) - second)
        if short < self.length + self.horizon:
            raise UserError(
                f"the shortest part of {self.path} has {short} rows, a window needs {self.length} + "
                f"{self.horizon}; shorten task.length or task.horizon"
            )
        values = torch.from_numpy(table.values.astype(np.float32))
        return {
            "training": values[:first],
            "validation": values[first:second],
            "test": values[second:],
        }

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return {split: self._windows(part) for split, part in self._parts.items()}

    def _windows(self, part: Tensor) -> Batch:
        targets = self._table.targets

        def make(rows: Tensor) -> Batch:
            steps = torch.arange(self.length)[:, None] + rows  # (T, B)
            wanted = part[rows + self.length + self.horizon - 1]
            return Batch(part[steps], wanted[None][..., targets])

        return LazyBatch(len(part) - self.length - self.horizon + 1, make)


@dataclass(frozen=True)
class Table:
    names: list[str]  # of the columns
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
    if not time:
        _check_named(file, header[0])
    at = column(file, header, time or header[0], "task.time")
    _check_times(file, header[at], [row[at] for row in rows])
    names = _names(columns) or [name for i, name in enumerate(header) if i != at]
    if not names:
        raise UserError(f"{file} has no column beside the time {header[at]!r}")
    places = [(name, column(file, header, name, "task.columns")) for name in names]
    wanted = _names(targets) or names
    if strange := set(wanted) - set(names):
        raise UserError(f"task.targets has {min(strange)!r}, which is not among the columns read")
    values = np.array(
        [[_number(file, i, name, row[p]) for name, p in places] for i, row in enumerate(rows, 1)]
    )
    training = len(values) * 7 // 10
    if training < 2:
        raise UserError(f"{file} has {len(values)} rows, too few to split")
    mean, std = scale(values[:training])
    for name, deviation in zip(names, std, strict=True):
        if deviation == 0:
            raise UserError(
                f"{file}: {name!r} is constant in the training rows; leave it out of task.columns"
            )
    return Table(names, (values - mean) / std, [names.index(name) for name in wanted], training)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _number(file: Path, row: int, name: str, text: str) -> float:
    try:
        return read_number(text)
    except ValueError:
        told = repr(text[:40]) if text.strip() else "nothing"
        raise UserError(
            f"{file}, row {row} below the header: {told} where a number should be (such as 1234.5), "
            f"in column {name!r}; fill gaps in, or leave the column out of task.columns"
        ) from None


def _check_named(file: Path, first: str) -> None:
    try:
        _moment(first)
    except ValueError:
        return
    raise UserError(
        f"{file}: the first line must name the columns, and begins with {first!r}; if that is the "
        "time column's name, set task.time to it"
    )


def _check_times(file: Path, name: str, times: list[str]) -> None:
    """Numbers or ISO 8601, each after the one before."""
    before: float | datetime | None = None
    for row, time in enumerate(times, 1):
        where = f"{file}, row {row} below the header"
        try:
            moment = _moment(time)
            later = before is None or moment > before  # type: ignore[operator]
        except (ValueError, TypeError):
            raise UserError(
                f"{where}: {time[:40]!r} in column {name!r}, but the time column must be numbers, or "
                "dates such as 2016-07-01 00:00:00, all of one kind; task.time names another"
            ) from None
        if not later:
            raise UserError(
                f"{where}: time does not go on ({time!r} after {times[row - 2]!r}); sort the rows "
                "and keep one of each time"
            )
        before = moment


def _moment(text: str) -> float | datetime:
    try:
        value = float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip())
    if not math.isfinite(value):
        raise ValueError(text)
    return value
