"""Forecasting the columns of a CSV file with a time column."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.forecasting import MOST_TERMS, Forecast, few, last_few
from study.tasks.real.files import quoted
from study.tasks.real.lazy import LazyBatch
from study.tasks.real.measurements import FarValues
from study.tasks.real.series_table import Series, load, shares

MEAN = "the training mean"
FEW = 30  # windows of a part, of which a loss is a matter of chance
MOST_FITTED = (
    20_000  # rows that a linear forecast is fitted to, and about as many that it is tried on
)
PERFECT = 1e-12  # a loss of float32's rounding: the square of 6e-8, with some room


@TASKS.register
class CsvSeries(Forecast):
    """What will the values of a table be ``horizon`` rows from now?

    A CSV file (.tsv: tabs) with a header, a time column in rising order and columns of numbers
    without gaps; rows count as equally far apart. By ``split`` the first 70 % of the rows train, the
    next 10 % validate, the last 20 % test: the usual 7:1:2 of Wu et al. (2021). Three counts of rows
    split as well, the rest unread: "8640,2880,2880" is the 12, 4 and 4 months by the hour of ETT,
    Zhou et al. (2021). Columns are scaled to mean 0 and variance 1 of the training rows.

    A row is forecast in its own part only, and every row of the validation and test parts is, whatever
    the length and horizon, so that these compare; what is read for it may reach back into the part
    before, as it would in use. A column is refused that has a value which seems to stand for a gap,
    such as -9999: repeated and farther from all others than these from one another.

    Chance: the training mean, which is 0, for the validation rows. The forecasts to beat, of the same
    rows: the last value, and with ``season`` the value one season (or as few as are known) before the
    target. Solved: a loss of at most ``solved_share`` of the best of these, and below that of a linear
    forecast from the last few values, which takes no memory. A season is the lag, where there is one.
    """

    title: ClassVar[str] = "Forecasting a table of time series"
    source: ClassVar[str] = (
        "split 7:1:2 after Wu et al. (2021), Autoformer, by task.split that of Zhou et al. (2021),"
        " Informer; naive forecasts after Hyndman & Athanasopoulos (2021), Forecasting, 5.2"
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
    split: str = Field(
        default="0.7,0.1,0.2", description="training, validation, test: shares, or counts of rows"
    )
    far_values: FarValues = Field(
        default="refuse", description="repeated ones far from all others, as codes for gaps are"
    )
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

    @model_validator(mode="after")
    def _splits_in_three(self) -> "CsvSeries":
        try:
            shares(self.split)
        except ValueError:
            raise ValueError(
                f"split = {quoted(self.split)} must be three shares that sum to 1, such as "
                "0.7,0.1,0.2, or three counts of rows, such as 8640,2880,2880"
            ) from None
        return self

    @property
    def _season_back(self) -> int:
        """Steps from the last row read back to the row whole seasons before the target."""
        return self.season * math.ceil(self.horizon / self.season) - self.horizon

    @property
    def _table(self) -> Series:
        return load(self.path, self.time, self.columns, self.targets, self.split, self.far_values)

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
        """The losses of the naive forecasts of the validation rows."""
        values, rows = self._values[:, self._table.targets], self._rows["validation"]
        wanted = values[rows.start : rows.stop]
        back = {"the last value repeated": 0}
        if self.season:
            back["the value a season before"] = self._season_back
        known = {
            name: values[rows.start - self.horizon - steps :][: len(rows)]
            for name, steps in back.items()
        }
        forecasts = {MEAN: torch.zeros_like(wanted)} | known
        return {name: float(self.loss(made, wanted)) for name, made in forecasts.items()}

    @property
    def _best(self) -> float:
        return min(self._levels.values())

    @cached_property
    def _linear(self) -> float:
        """The loss of a linear forecast from the last few values of every column, fitted to training
        rows; infinite where none is to be had, or none is to be beaten as it is without error."""
        values, count = self._values.double(), few(self.length)
        if 1 + count * self.input_size > MOST_TERMS:
            return math.inf

        def seen(rows: Tensor) -> Tensor:
            last = [values[rows - self.horizon - back] for back in range(count)]
            return torch.cat([torch.ones(len(rows), 1, dtype=values.dtype), *last], dim=1)

        wanted = values[:, self._table.targets]
        training, validation = (
            torch.arange(part.start, part.stop, max(1, len(part) // MOST_FITTED))
            for part in (self._rows["training"], self._rows["validation"])
        )
        fitted = torch.linalg.lstsq(seen(training), wanted[training], driver="gelsd").solution
        loss = float(self.loss(seen(validation) @ fitted, wanted[validation]))
        return loss if loss > PERFECT else math.inf

    @property
    def solved_loss(self) -> float:
        return min(self.solved_share * self._best, self._linear)

    @property
    def solved_rule(self) -> str:
        if self._linear <= self.solved_share * self._best:
            return f"loss below {self._linear:.4g}, that of a linear forecast from {last_few(self.length)}"
        return (
            f"loss of at most {self.solved_loss:.4g}, {self.solved_share:g} of the "
            "best naive forecast's"
        )

    def solved(self, scores: Mapping[str, float]) -> bool:
        loss = scores["loss"]
        return loss <= self.solved_share * self._best and loss < self._linear

    def check_data(self) -> None:
        super().check_data()
        best = min(self._levels, key=self._levels.__getitem__)
        if self._levels[best] <= PERFECT:
            raise UserError(
                f"{self.path}: {best} is without error in the validation rows, so that no network "
                "can do better; name other columns in task.columns or task.targets"
            )

    @property
    def remarks(self) -> Sequence[str]:
        few = {split: len(rows) for split, rows in self._rows.items() if len(rows) < FEW}
        told = ", ".join(f"{count} of {split}" for split, count in few.items())
        if not few:
            return ()
        return (f"few rows to forecast in {self.path}: {told}; a loss of under {FEW} says little",)

    @cached_property
    def _values(self) -> Tensor:
        """(rows, columns)."""
        return torch.from_numpy(self._table.values)

    @cached_property
    def _rows(self) -> Mapping[Literal["training", "validation", "test"], range]:
        """The rows forecast of each part."""
        table, first = self._table, self.length + self.horizon - 1
        if first >= table.training:
            raise UserError(
                f"{self.path} has {table.training} rows for training, a window needs {self.length} + "
                f"{self.horizon}; shorten task.length or task.horizon"
            )
        return {
            "training": range(first, table.training),
            "validation": range(table.training, table.validation),
            "test": range(table.validation, table.test),
        }

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return {split: self._windows(rows) for split, rows in self._rows.items()}

    def _windows(self, forecast: range) -> Batch:
        values, targets = self._values, self._table.targets
        first = forecast.start - self.horizon - self.length + 1

        def make(rows: Tensor) -> Batch:
            steps = first + torch.arange(self.length)[:, None] + rows  # (T, B)
            return Batch(values[steps], values[forecast.start + rows][None][..., targets])

        return LazyBatch(len(forecast), make)
