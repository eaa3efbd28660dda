"""Classification of time series from the .ts files of the UCR and UEA archives."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch
from study.tasks.real.classification import MOST_CLASSES, Classification, stratified
from study.tasks.real.files import existing, missing, quoted, read_text
from study.tasks.real.measurements import FarValues, gap_code, read_number, scale

MOST_VARIABLES = 4096
MOST_VALUES = 250_000_000  # of a part, each series as long as the longest: 1 GB
VALIDATION_SHARE = 0.2  # of the training file, a class


@TASKS.register
class TsArchive(Classification):
    """Which class is a time series of, after its last step?

    A problem of the UCR (one variable; Dau et al. 2019) or UEA archive (several; Bagnall et al.
    2018): NAME_TRAIN.ts and NAME_TEST.ts, of equal or unequal length, without missing values. Of
    the training file a fifth of every class validates; variables are scaled to mean 0 and variance
    1 of the rest. A value that seems to stand for a gap, such as -9999 far from all others, is refused.
    Where in a series the class shows, and so the lag, differs from problem to problem.

    Chance: the entropy of the classes' frequencies in training.
    """

    title: ClassVar[str] = "Time series of the UCR and UEA archives"
    source: ClassVar[str] = (
        "Dau et al. (2019), The UCR time series archive; Bagnall et al. (2018), The UEA multivariate"
        " time series classification archive"
    )

    name: Literal["ts-archive"] = "ts-archive"
    path: str = Field(default="", description="the folder of a problem, or its NAME_TRAIN.ts")
    far_values: FarValues = Field(
        default="refuse", description="repeated ones far from all others, as codes for gaps are"
    )

    @property
    def _problem(self) -> "Problem":
        return _load(self.path, self.far_values)

    @property
    def _prior(self) -> np.ndarray:
        return self._problem.prior

    @property
    def answers(self) -> tuple[str, ...]:
        return self._problem.names

    @property
    def input_size(self) -> int:
        return self._problem.splits["training"].inputs.shape[2]

    @property
    def steps(self) -> int:
        return self._problem.splits["training"].inputs.shape[0]

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self._problem.splits


@dataclass(frozen=True)
class Problem:
    splits: Mapping[Literal["training", "validation", "test"], Batch]
    prior: np.ndarray  # frequencies of the classes in training
    names: tuple[str, ...]  # of the classes


@dataclass(frozen=True)
class Cases:
    """What a .ts file holds: series (steps, variables) each, and the names of their classes."""

    series: list[np.ndarray]
    labels: list[str]


@lru_cache(maxsize=2)
def _load(path: str, far_values: FarValues) -> Problem:
    train, test = _pair(path)
    known, tested = read_ts(train), read_ts(test)
    variables = known.series[0].shape[1]
    if tested.series[0].shape[1] != variables:
        raise UserError(f"{test} has {tested.series[0].shape[1]} variables, {train} {variables}")
    names = sorted(set(known.labels))
    if strange := set(tested.labels) - set(names):
        raise UserError(f"{test} has the class {quoted(min(strange))}, which {train} has not")
    if far_values == "refuse":
        _check_far(train, known)
        _check_far(test, tested)
    numbers = {name: i for i, name in enumerate(names)}
    labels = [numbers[label] for label in known.labels]
    validation, training = stratified(labels, [VALIDATION_SHARE])
    if len(names) < 2 or not len(validation):
        raise UserError(f"{train} needs two classes, and three series or more of one")
    seen = np.concatenate([known.series[i] for i in training])
    mean, std = scale(seen)
    std[std == 0] = 1
    steps = max(len(s) for s in known.series + tested.series)
    for file, count in ((train, len(known.series)), (test, len(tested.series))):
        if steps * count * variables > MOST_VALUES:
            raise UserError(
                f"{file}: {count:,} series of {variables:,} variables and up to {steps:,} steps are too "
                "many; take a part of them"
            )

    def batch(series: list[np.ndarray], classes: list[int]) -> Batch:
        inputs = torch.zeros(steps, len(series), variables)
        for i, values in enumerate(series):
            inputs[: len(values), i] = torch.from_numpy((values - mean) / std).float()
        lengths = torch.tensor([len(values) for values in series])
        ends: Tensor | None = lengths - 1
        if (lengths == steps).all():
            ends = None
        return Batch(inputs, torch.tensor(classes)[None], ends)

    return Problem(
        {
            "training": batch([known.series[i] for i in training], [labels[i] for i in training]),
            "validation": batch(
                [known.series[i] for i in validation], [labels[i] for i in validation]
            ),
            "test": batch(tested.series, [numbers[label] for label in tested.labels]),
        },
        np.bincount([labels[i] for i in training], minlength=len(names)) / len(training),
        tuple(names),
    )


def _pair(path: str) -> tuple[Path, Path]:
    root = existing(path)
    found: list[Path] = []
    if root is not None:
        found = sorted(root.glob("*_TRAIN.ts")) if root.is_dir() else [root]
    if len(found) > 1:
        raise UserError(f"{path} has several problems; set task.path to one: {found[0]}")
    if found and found[0].name.endswith("_TRAIN.ts"):
        test = found[0].with_name(found[0].name.replace("_TRAIN.ts", "_TEST.ts"))
        if found[0].is_file() and test.is_file():
            return found[0], test
    raise missing(
        "ts-archive",
        path,
        "NAME_TRAIN.ts and NAME_TEST.ts in one folder",
        "each problem is a zip file on timeseriesclassification.com",
    )


def read_ts(path: Path) -> Cases:
    """Parses @tags, then one case a line: variables separated by colons, values by commas, the class.

    Raises UserError with the line for anything else, missing values and time stamps among it.
    """
    tags: dict[str, list[str]] = {}
    series: list[np.ndarray] = []
    labels: list[str] = []
    classes: set[str] = set()
    in_data = False
    for number, line in enumerate(read_text(path).split("\n"), 1):
        line, where = line.strip(), f"{path}, line {number}"
        if not line or line.startswith("#"):
            continue
        if not in_data:
            if not line.startswith("@"):
                raise UserError(f"{where}: a tag such as @classLabel, or @data, is expected")
            tag, *rest = line.split()
            tags[tag[1:].lower()] = [rest[0].lower(), *rest[1:]] if rest else []
            in_data = tag.lower() == "@data"
            if in_data:
                _check(path, tags)
                classes = {*tags["classlabel"][1:]}
            continue
        *variables, label = line.split(":")
        label = label.strip()
        if label not in classes:
            named = tags["classlabel"][1:]
            listed = ", ".join(name[:40] for name in named[:9]) + (", …" if len(named) > 9 else "")
            raise UserError(
                f"{where}: {quoted(label)} is not among the classes of @classLabel: {listed}"
            )
        if len(variables) > MOST_VARIABLES:
            raise UserError(f"{where}: {len(variables):,} variables, more than {MOST_VARIABLES:,}")
        values = [_values(where, part) for part in variables]
        if not values or len({len(v) for v in values}) > 1:
            raise UserError(f"{where}: a case needs variables, all of one length, before its class")
        case = np.asarray(values).T
        if series and case.shape[1] != series[0].shape[1]:
            raise UserError(
                f"{where}: {case.shape[1]} variables, the first case has {series[0].shape[1]}"
            )
        series.append(case)
        labels.append(label)
    if not in_data:
        raise UserError(f"{path} has no @data: not a .ts file, or cut short")
    if not series:
        raise UserError(f"{path} has no cases after @data")
    told = tags.get("equallength", [])[:1] == ["true"]
    if told and len({len(case) for case in series}) > 1:
        raise UserError(f"{path} says @equalLength true, but its series differ in length")
    return Cases(series, labels)


def _check_far(path: Path, cases: Cases) -> None:
    for variable, values in enumerate(np.concatenate(cases.series).T, 1):
        if code := gap_code(values):
            raise UserError(
                f"{path}: variable {variable} has {code}; if it stands for a gap, fill it in, and if it "
                "was measured, set task.far_values = 'keep'"
            )


def _check(path: Path, tags: Mapping[str, list[str]]) -> None:
    if tags.get("timestamps", ["false"])[:1] != ["false"]:
        raise UserError(f"{path} has time stamps (@timeStamps true), which are not supported")
    labels = tags.get("classlabel", [])
    if labels[:1] != ["true"] or len(labels) < 3:
        raise UserError(f"{path} needs a line '@classLabel true' with its classes, two or more")
    if len(labels) - 1 > MOST_CLASSES:
        raise UserError(f"{path} has {len(labels) - 1:,} classes, more than {MOST_CLASSES:,}")


def _values(where: str, text: str) -> list[float]:
    values = []
    for value in text.split(","):
        told = value.strip()
        if told == "?" or told.lower() == "nan":
            raise UserError(
                f"{where}: a value is missing ({told}); fill it in first, as the archives' "
                "versions without missing values do"
            )
        try:
            values.append(read_number(value))
        except ValueError:
            raise UserError(f"{where}: {quoted(told)} is no number that can be used") from None
    return values
