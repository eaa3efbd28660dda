"""The tables of a search space's file: [fixed], [compare] and [search], each into what a `Space` has."""

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from study.base.errors import UserError, unknown
from study.base.limits import QUESTION, VALUES, axis_problem, label_problem, shown, text_problem
from study.base.registry import describe_problem
from study.base.toml import Scalar
from study.spaces.baseline import Baseline
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


Ranges = dict[str, dict[str, dict[str, Searched]]]


def compare_of(table: Mapping[str, Any]) -> tuple[dict[str, dict[str, Flat]], Ranges]:
    """Axis -> label -> settings, and axis -> label -> what is searched there in ranges of its own.

    Raises UserError.
    """
    axes: dict[str, dict[str, Flat]] = {}
    ranges: Ranges = {}

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
            parts = {_label(k, path): _without_ranges(v) for k, v in value.items()}
            add(path, {k: fixed_of(single, f"{where} {k}") for k, (single, _) in parts.items()})
            own = {k: search_of(rest, f"{where} {k}") for k, (_, rest) in parts.items() if rest}
            if own:
                ranges[path] = own
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
    return axes, ranges


def _without_ranges(
    table: Mapping[str, Any], path: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A label's table in two: single settings, and what is searched instead of given."""
    single: dict[str, Any] = {}
    searched: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if not isinstance(value, Mapping):
            single[key] = value
        elif value.keys() & {"low", "high", "values"} and not _is_section(
            full_name(name), _names()
        ):
            searched[key] = value
        else:
            inner, rest = _without_ranges(value, name)
            if inner or not rest:
                single[key] = inner
            if rest:
                searched[key] = rest
    return single, searched


def _names() -> set[str]:
    return {*known_names(), *GROUPS}


def _has_list(value: Any) -> bool:
    if isinstance(value, Mapping):
        # Those of a range are no labels of an axis.
        return any(
            _has_list(inner) for key, inner in value.items() if key not in ("values", "when")
        )
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


def search_of(table: Mapping[str, Any], where: str = "[search]") -> dict[str, Searched]:
    """What is searched, by flat name. Raises UserError."""
    found: dict[str, Searched] = {}
    spellings: dict[str, str] = {}
    names = _names()

    def walk(path: str, spelling: str, value: Any) -> None:
        described = isinstance(value, Mapping) and set(value) & set(Searched.model_fields)
        if isinstance(value, Mapping) and not described and _is_section(path, names):
            if not value:
                refuse_empty(path, where)
            for key, inner in value.items():
                walk(f"{path}.{key}", f"{spelling}.{spelled(key)}", inner)
            return
        check_name(path, where)
        name = full_name(path)
        if name in found:
            raise UserError(
                f"{where} {name} is there twice, as {spellings[name]} and as {spelling}"
            )
        found[name], spellings[name] = _read_searched(path, value, where), spelling

    for key, value in table.items():
        walk(key, spelled(key), value)
    return found


def _is_section(path: str, names: set[str]) -> bool:
    return any(name.startswith(f"{path}.") for name in names)


def _read_searched(name: str, value: Any, table: str) -> Searched:
    where = f"{table} {name}"
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


def with_conditions(ranges: Ranges, search: Mapping[str, Searched]) -> Ranges:
    """The arms' own ranges, each with the condition that its parameter has in [search].

    Raises UserError for one that is not searched in every arm, as the arms' trials would not be equal.
    """
    owners: dict[str, str] = {}
    for axis, labels in ranges.items():
        for label, own in labels.items():
            for name, searched in own.items():
                where = f"[compare.{axis}] {label}: {name}"
                if name not in search:
                    raise UserError(
                        f"{where} has a range, and [search] has none; give one there for the other arms"
                    )
                if searched.when:
                    raise UserError(f"{where}: when belongs to {name} in [search]")
                if owners.setdefault(name, axis) != axis:
                    raise UserError(f"{where} has a range in [compare.{owners[name]}] too")
    return {
        axis: {
            label: {
                name: searched.model_copy(update={"when": search[name].when})
                for name, searched in own.items()
            }
            for label, own in labels.items()
        }
        for axis, labels in ranges.items()
    }


def baselines_of(tables: Any) -> tuple[Baseline, ...]:
    """[[baseline]]: where, source and settings of each. Raises UserError."""
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        raise UserError("baseline must be tables of their own, each under [[baseline]]")
    found = []
    for number, table in enumerate(tables, 1):
        title = f"[[baseline]] {number}"
        source, where = table.get("source"), table.get("where", {})
        if not isinstance(source, str) or not source.strip():
            raise UserError(f'{title} needs its source, such as source = "Le et al. (2015)"')
        if problem := text_problem(source, QUESTION):
            raise UserError(f"{title} source {problem}")
        if not isinstance(where, Mapping) or not all(isinstance(v, str) for v in where.values()):
            raise UserError(
                f'{title}: where must be a table of labels, such as {{ network = "lstm" }}'
            )
        settings = {k: v for k, v in table.items() if k not in ("source", "where")}
        flat = fixed_of(settings, title)
        if not flat:
            raise UserError(f"{title} sets nothing")
        flat = {
            k: float(v) if kind_of(k) is float and type(v) is int else v for k, v in flat.items()
        }
        found.append(Baseline(source=source, where=dict(where), settings=flat))
    return tuple(found)
