"""A user's table of time series: read, checked and scaled, with its split."""

import math
from array import array
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from study.base.errors import UserError
from study.tasks.real.files import existing, missing, quoted
from study.tasks.real.measurements import FarValues, gap_code, read_number, scale
from study.tasks.real.tables import Row, Table

MOST_COLUMNS = 4096  # as many as characters of a text are kept apart
MOST_VALUES = 100_000_000  # 800 MB, and half as much again as float32


@dataclass(frozen=True)
class Series:
    """Rows 0 to ``training`` train, those up to ``validation`` validate, those up to ``test`` test."""

    names: list[str]  # of the columns
    values: np.ndarray  # (rows, columns) float32, scaled by the training rows
    targets: list[int]  # of these columns
    training: int
    validation: int
    test: int


@lru_cache(maxsize=2)
def load(
    path: str, time: str, columns: str, targets: str, split: str, far_values: FarValues
) -> Series:
    """Raises UserError for a file that is no such table, with the place of what is wrong."""
    file = existing(path)
    if file is None or not file.is_file():
        raise missing(
            "csv-series",
            path,
            "a CSV file with a header, a time column and columns of numbers",
            "ETT, electricity and weather are such files",
        )
    table = Table(file)
    if not time:
        _check_named(file, table.header[0])
    time = time or table.header[0]
    at = table.column(time, "task.time")
    names = _names(columns) or [name for i, name in enumerate(table.header) if i != at]
    if not names:
        raise UserError(f"{file} has no column beside the time {quoted(time)}")
    if len(names) > MOST_COLUMNS:
        raise UserError(
            f"{file}: {len(names):,} columns are too many to read; name up to {MOST_COLUMNS:,} in "
            "task.columns"
        )
    places = {name: table.column(name, "task.columns") for name in names}
    if len(places) < len(names):
        raise UserError("task.columns names a column twice")
    wanted = _names(targets) or names
    if len(set(wanted)) < len(wanted):
        raise UserError("task.targets names a column twice")
    if strange := set(wanted) - set(names):
        raise UserError(
            f"task.targets has {quoted(min(strange))}, which is not among the columns read"
        )
    values = _values(table, time, at, places)
    borders = _borders(file, split, len(values))
    if far_values == "refuse":
        _check_far(file, names, values)
    mean, std = scale(values[: borders[0]])
    for name, deviation in zip(names, std, strict=True):
        if deviation == 0:
            raise UserError(
                f"{file}: {quoted(name)} is constant in the training rows; leave it out of "
                "task.columns"
            )
    values -= mean
    values /= std
    order = {name: i for i, name in enumerate(names)}
    return Series(names, values.astype(np.float32), [order[name] for name in wanted], *borders)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def shares(split: str) -> tuple[float, float, float] | None:
    """ "0.7,0.1,0.2" -> its numbers; None where they are counts of rows.

    Raises ValueError for anything but three shares that sum to 1 or three whole numbers of rows.
    """
    given = [read_number(text) for text in split.split(",")]
    if len(given) == 3 and all(0 < number < 1 for number in given) and math.isclose(sum(given), 1):
        return given[0], given[1], given[2]
    if len(given) == 3 and all(number >= 1 and number.is_integer() for number in given):
        return None
    raise ValueError(split)


def _borders(file: Path, split: str, rows: int) -> tuple[int, int, int]:
    parts = shares(split)
    if parts is None:
        training, validation, test = (int(read_number(text)) for text in split.split(","))
        if training + validation + test > rows:
            raise UserError(
                f"{file} has {rows} rows, task.split = {split!r} takes {training + validation + test}"
            )
        borders = training, training + validation, training + validation + test
    else:
        # A millionth of a row more: 0.7 of 10 rows is 7 and not 6.
        training, validation = (math.floor(share * rows + 1e-6) for share in parts[:2])
        borders = training, training + validation, rows
    if training < 2 or validation < 1 or borders[2] <= borders[1]:
        raise UserError(f"{file} has {rows} rows, too few to split")
    return borders


def _values(table: Table, time: str, at: int, places: dict[str, int]) -> np.ndarray:
    """(rows, columns), float64.

    Where both the times and a value are wrong the times are told, since another time column may be
    meant.
    """
    read, before = array("d"), None
    wrong: UserError | None = None
    for i, row in enumerate(table, 1):
        where = f"{table.path}, row {i} below the header"
        _check_one_line(table.path, row)
        before = _later(where, time, row.fields[at], before)
        if wrong:
            continue
        try:
            read.extend([_number(where, name, row.fields[p]) for name, p in places.items()])
        except UserError as error:
            wrong = error
        if len(read) > MOST_VALUES:
            raise UserError(
                f"{table.path} has more than {MOST_VALUES:,} values in {len(places):,} columns; name "
                "fewer in task.columns, or take a part of the file"
            )
    if wrong:
        raise wrong
    return np.frombuffer(read).reshape(-1, len(places)).copy()


def _check_one_line(file: Path, row: Row) -> None:
    if len(row.told) > 1:
        raise UserError(
            f"{file}, line {row.line}: a quote there joins lines {row.line} to "
            f"{row.line + len(row.told) - 1} to one row, and no row of a series takes several; close "
            "the quote, or leave it out"
        )


def _check_far(file: Path, names: list[str], values: np.ndarray) -> None:
    for name, column in zip(names, values.T, strict=True):
        if code := gap_code(column):
            raise UserError(
                f"{file}: column {quoted(name)} has {code}, which would be all that a network sees of "
                "it; if it stands for a gap, fill it in or leave the column out of task.columns; if it "
                "was measured, set task.far_values = 'keep'"
            )


def _number(where: str, name: str, text: str) -> float:
    try:
        return read_number(text)
    except ValueError:
        told = quoted(text) if text.strip() else "nothing"
        raise UserError(
            f"{where}: {told} where a number should be (such as 1234.5), in column {quoted(name)}; "
            "fill gaps in, or leave the column out of task.columns"
        ) from None


def _check_named(file: Path, first: str) -> None:
    try:
        _moment(first)
    except ValueError:
        return
    raise UserError(
        f"{file}: the first line must name the columns, and begins with {quoted(first)}; if that is "
        "the time column's name, set task.time to it"
    )


Moment = tuple[float | datetime, str]  # and as it is written


def _later(where: str, name: str, text: str, before: Moment | None) -> Moment:
    """A number or a date in ISO 8601, after the one before. Raises UserError for anything else."""
    try:
        moment = _moment(text)
        later = before is None or moment > before[0]  # type: ignore[operator]
    except (ValueError, TypeError):
        raise UserError(
            f"{where}: {quoted(text)} in column {quoted(name)}, but the time column must be numbers, or "
            "dates such as 2016-07-01 00:00:00, all of one kind; task.time names another"
        ) from None
    if before is not None and not later:
        raise UserError(
            f"{where}: time does not go on ({quoted(text)} after {quoted(before[1])}); sort the rows "
            "and keep one of each time"
        )
    return moment, text


def _moment(text: str) -> float | datetime:
    try:
        return read_number(text)
    except ValueError:
        return datetime.fromisoformat(text.strip())
