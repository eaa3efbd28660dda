"""The tables of a search space's file: [fixed], [compare] and [search], each into what a `Space` has."""

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from study.base.errors import UserError, unknown
from study.base.limits import VALUES, axis_problem, label_problem, shown
from study.base.registry import describe_problem
from study.base.toml import Scalar
from study.spaces.space import Searched
from study.trial.config import (
    GROUPS,
    Flat,
    check_name,
    choices_of,
    flatten,
    full_name,
    kind_of,
    known_names,
    refuse_empty,
    spelled,
)


def fixed_of(table: Mapping[str, Any], where: str) -> Flat:
    """Single values by flat name. Raises UserError."""
    flat = flatten(table, where)
    for name, value in flat.items():
        check_name(name, where)
        _check_single(f"{where} {name}", value)
    return flat


def _check_single(where: str, value: Any) -> None:
    if not isinstance(value, Scalar):
        raise UserError(f"{where} must be a single value (got {shown(value)})")


def compare_of(table: Mapping[str, Any]) -> dict[str, dict[str, Flat]]:
    """Axis -> label -> settings. Raises UserError."""
    axes: dict[str, dict[str, Flat]] = {}

    def walk(path: str, value: Any) -> None:
        if value == "all":
            check_name(path, "[compare]")
            value = choices_of(path)
        if isinstance(value, list):
            check_name(path, "[compare]")
            add(path, _listed(path, value))
        elif isinstance(value, Mapping) and _has_list(value):
            for key, inner in value.items():
                walk(f"{path}.{key}" if path else key, inner)
        elif (
            isinstance(value, Mapping)
            and value
            and all(isinstance(v, Mapping) for v in value.values())
        ):
            where = f"[compare.{path}]"
            add(path, {_label(k, path): fixed_of(v, f"{where} {k}") for k, v in value.items()})
        else:
            raise UserError(
                f'[compare] {path} must be a list of values, "all" of them, or a table of labels with '
                f'settings, such as lstm = {{ model.cell = "lstm" }}'
            )

    def add(axis: str, labels: dict[str, Flat]) -> None:
        if problem := axis_problem(axis):
            raise UserError(f"[compare] {problem}")
        if axis in axes:
            raise UserError(f"[compare] {axis} is there twice, once as {spelled(axis)}")
        axes[axis] = labels

    for key, value in table.items():
        walk(key, value)
    return axes


def _has_list(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_list(inner) for inner in value.values())
    return isinstance(value, list) or value == "all"


def _listed(axis: str, values: list[Any]) -> dict[str, Flat]:
    """A label and a setting for each value of a list."""
    where = f"[compare] {axis}"
    _check_count(where, values)
    for value in values:
        _check_single(where, value)
    labels: dict[str, Flat] = {_label(str(v), axis): {full_name(axis): v} for v in values}
    if len(labels) < len(values) or _has_twice(values):
        raise UserError(f"{where} has a value twice")
    return labels


def _check_count(where: str, values: Any) -> None:
    if not values:
        raise UserError(f"{where} has no values")
    if len(values) > VALUES:
        raise UserError(f"{where} has {len(values)} values; it can have {VALUES} at most")


def _has_twice(values: Any) -> bool:
    """Whether two of them are the same setting: 1 and 1.0 are, 1 and true are not."""
    return len({(isinstance(v, bool), v) for v in values}) < len(values)


def _label(label: str, axis: str) -> str:
    if problem := label_problem(label):
        raise UserError(f"[compare] {shown(axis)}: {problem}")
    return label


def search_of(table: Mapping[str, Any]) -> dict[str, Searched]:
    """What is searched, by flat name. Raises UserError."""
    found: dict[str, Searched] = {}
    spellings: dict[str, str] = {}
    names = {*known_names(), *GROUPS}

    def walk(path: str, spelling: str, value: Any) -> None:
        described = isinstance(value, Mapping) and set(value) & set(Searched.model_fields)
        if isinstance(value, Mapping) and not described and _is_section(path, names):
            if not value:
                refuse_empty(path, "[search]")
            for key, inner in value.items():
                walk(f"{path}.{key}", f"{spelling}.{spelled(key)}", inner)
            return
        check_name(path, "[search]")
        name = full_name(path)
        if name in found:
            raise UserError(
                f"[search] {name} is there twice, as {spellings[name]} and as {spelling}"
            )
        found[name], spellings[name] = _read_searched(path, value), spelling

    for key, value in table.items():
        walk(key, spelled(key), value)
    return found


def _is_section(path: str, names: set[str]) -> bool:
    return any(name.startswith(f"{path}.") for name in names)


def _read_searched(name: str, value: Any) -> Searched:
    where = f"[search] {name}"
    if isinstance(value, list):
        value = {"values": value}
    if not isinstance(value, Mapping):
        raise UserError(
            f"{where} must be {{ low = …, high = … }} or a list of values (got {shown(value)})"
        )
    given = dict(value)
    conditions = given.get("when")
    if "when" in given and not (isinstance(conditions, Mapping) and conditions):
        raise UserError(f'{where}: when must be a table, such as {{ model.cell = "lstm" }}')
    when = flatten(conditions or {}, f"{where}: when")
    for condition in when:
        check_name(condition, f"{where}: when")
    if isinstance(given.get("values"), list):
        _check_count(where, given["values"])
        given["values"] = tuple(given["values"])
    given["when"] = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in when.items()}
    try:
        searched = Searched(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"][:1])
        if problem["type"] == "extra_forbidden":
            raise UserError(
                f"{where}: {unknown('setting', field, Searched.model_fields)}"
            ) from None
        raise UserError(f"{where}: {field}: {describe_problem(problem)}") from None
    _check_searched(name, searched, where)
    return searched


def _check_searched(name: str, searched: Searched, where: str) -> None:
    kind = kind_of(name)
    if searched.values is not None:
        scaled = searched.log or searched.log_below_one
        if searched.low is not None or searched.high is not None or scaled:
            raise UserError(f"{where} has values; low, high and log belong to a range")
        if _has_twice(searched.values):
            raise UserError(f"{where} has a value twice")
        return
    if searched.low is None or searched.high is None:
        raise UserError(f"{where} needs low and high, or values")
    if kind not in (int, float):
        raise UserError(f"{where} is not a number; give values = [...]")
    if max(abs(searched.low), abs(searched.high)) > sys.float_info.max:
        raise UserError(f"{where}: a bound is larger than any number of a computer")
    if searched.low >= searched.high:
        raise UserError(f"{where}: low must be below high (got {searched.low} and {searched.high})")
    if searched.log and searched.low <= 0:
        raise UserError(f"{where}: with log, low must be above 0 (got {searched.low})")
    if searched.log_below_one and (kind is not float or searched.log or searched.high >= 1):
        raise UserError(
            f"{where}: log_below_one is for numbers below 1 and instead of log (high is {searched.high})"
        )
    whole = float(searched.low).is_integer() and float(searched.high).is_integer()
    if kind is int and not whole:
        raise UserError(f"{where}: low and high must be whole numbers")
