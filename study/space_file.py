"""A search space's TOML file, read and validated down to every arm's configurations."""

import itertools
import re
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from study.config import (
    GROUPS,
    Flat,
    TrialConfig,
    check_name,
    choices_of,
    flatten,
    full_name,
    kind_of,
    known_names,
)
from study.errors import MissingFiles, UserError, unknown
from study.registry import describe_problem
from study.spaces import Arm, Searched, Space
from study.toml import Scalar, read_toml

PACKAGED = Path(__file__).resolve().parent.parent / "search_spaces"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}")
MOST_ARMS = 1_000
MOST_TRIALS = 10_000  # of a grid, an arm
_RESERVED = "train"  # the experiment of `longlag train`


def find(name_or_path: str) -> Path:
    """The file of a study: a path, or a name in ./search_spaces or in the ones that come along.

    Raises UserError.
    """
    if name_or_path.endswith(".toml") or _is_file(name_or_path):
        path = Path(name_or_path)
        if not path.is_file():
            raise UserError(f"no such file: {path}")
        return path
    check_study_name(name_or_path)
    known = available()
    if name_or_path not in known:
        raise unknown("search space", name_or_path, known)
    return known[name_or_path]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than any file name can be
        return False


def available() -> dict[str, Path]:
    """Name -> file, of the folder one works in first, then of the package."""
    folders = [PACKAGED, Path("search_spaces").resolve()]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def check_study_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"a study's name has letters, digits, '-' and '_' only, at most 64 (got {name!r})"
        )
    if name == _RESERVED:
        raise UserError(
            f"{name!r} is the experiment of 'longlag train'; give the study another name"
        )
    return name


def load(path: Path, settings: Mapping[str, Scalar] | None = None, **overrides: Any) -> Space:
    """Read and validate a space down to every arm's configurations. Raises UserError.

    ``settings`` (from ``--set``) join and replace those of [fixed], ``overrides`` what [study] says
    (trials, seed …) where they are not None. The files that a task needs may be missing: see
    `spaces.check_data`.
    """
    text = read_toml(path)
    try:
        return _build(text, path.stem, overrides, settings or {})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _build(
    text: Mapping[str, Any],
    stem: str,
    overrides: Mapping[str, Any],
    chosen: Mapping[str, Scalar] = MappingProxyType({}),
) -> Space:
    sections = ("study", "fixed", "compare", "search")
    if not text:
        raise UserError("the file is empty; 'longlag show space quickstart' shows what a study has")
    for section, content in text.items():
        if section not in sections:
            raise unknown("section", section, sections)
        if not isinstance(content, Mapping):
            raise UserError(f"{section} must be a table, [{section}]")
    study = dict(text.get("study", {}))
    given = {
        "name": study.get("name", stem),
        **study,
        **{key: value for key, value in overrides.items() if value is not None},
    }
    for key in given:
        if key in ("fixed", "compare", "search") or key not in Space.model_fields:
            settings = [f for f in Space.model_fields if f not in ("fixed", "compare", "search")]
            raise UserError(f"[study]: {unknown('setting', key, settings)}")
    if not isinstance(given["name"], str):
        raise UserError("[study] name must be a string")
    check_study_name(given["name"])
    try:
        space = Space(
            **given,
            fixed=_settings(text.get("fixed", {}), "[fixed]") | _settings(chosen, "--set"),
            compare=_axes(text.get("compare", {})),
            search=_searched(text.get("search", {})),
        )
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise UserError(f"[study] {path}: {describe_problem(problem)}") from None
    _check(space, {full_name(name) for name in chosen})
    return space


def _settings(table: Mapping[str, Any], where: str) -> Flat:
    flat = {full_name(name): value for name, value in flatten(table).items()}
    for name, value in flat.items():
        check_name(name, where)
        if not isinstance(value, str | int | float | bool):
            raise UserError(f"{where} {name} must be a single value (got {value!r})")
    return flat


def _axes(table: Mapping[str, Any]) -> dict[str, dict[str, Flat]]:
    axes: dict[str, dict[str, Flat]] = {}

    def has_list(value: Any) -> bool:
        if isinstance(value, Mapping):
            return any(has_list(v) for v in value.values())
        return isinstance(value, list) or value == "all"

    def walk(path: str, value: Any) -> None:
        if value == "all":
            check_name(path, "[compare]")
            value = choices_of(path)
        if isinstance(value, list):
            check_name(path, "[compare]")
            if not value:
                raise UserError(f"[compare] {path} has no values")
            axes[path] = {_label(str(v), path): {full_name(path): v} for v in value}
            if len(axes[path]) < len(value):
                raise UserError(f"[compare] {path} has a value twice")
        elif isinstance(value, Mapping) and has_list(value):
            for key, inner in value.items():
                walk(f"{path}.{key}" if path else key, inner)
        elif (
            isinstance(value, Mapping)
            and value
            and all(isinstance(v, Mapping) for v in value.values())
        ):
            where = f"[compare.{path}]"
            axes[path] = {_label(k, path): _settings(v, f"{where} {k}") for k, v in value.items()}
        else:
            raise UserError(
                f'[compare] {path} must be a list of values, "all" of them, or a table of labels with '
                f'settings, such as lstm = {{ model.cell = "lstm" }}'
            )

    for key, value in table.items():
        walk(key, value)
    return axes


def _label(label: str, axis: str) -> str:
    if not _LABEL.fullmatch(label):
        raise UserError(
            f"[compare] {axis}: a label has letters, digits and any of +._- only, at most 64 (got {label!r})"
        )
    return label


def _searched(table: Mapping[str, Any]) -> dict[str, Searched]:
    found: dict[str, Searched] = {}
    names = {*known_names(), *GROUPS}

    def walk(path: str, value: Any) -> None:
        described = isinstance(value, Mapping) and set(value) & set(Searched.model_fields)
        if isinstance(value, Mapping) and not described and _is_section(path, names):
            for key, inner in value.items():
                walk(f"{path}.{key}", inner)
            return
        check_name(path, "[search]")
        found[full_name(path)] = _read_searched(path, value)

    for key, value in table.items():
        walk(key, value)
    return found


def _is_section(path: str, names: set[str]) -> bool:
    return any(name.startswith(f"{path}.") for name in names)


def _read_searched(name: str, value: Any) -> Searched:
    where = f"[search] {name}"
    if isinstance(value, list):
        value = {"values": value}
    if not isinstance(value, Mapping):
        raise UserError(
            f"{where} must be {{ low = …, high = … }} or a list of values (got {value!r})"
        )
    given = dict(value)
    when = flatten(given.get("when", {})) if isinstance(given.get("when", {}), Mapping) else None
    if when is None:
        raise UserError(f'{where}: when must be a table, such as {{ model.cell = "lstm" }}')
    for condition in when:
        check_name(condition, f"{where}: when")
    if isinstance(given.get("values"), list):
        given["values"] = tuple(given["values"])
    given["when"] = {
        full_name(k): tuple(v) if isinstance(v, list) else (v,) for k, v in when.items()
    }
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
        if not searched.values:
            raise UserError(f"{where} has no values")
        if len(set(searched.values)) < len(searched.values):
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


def _check(space: Space, chosen: Set[str]) -> None:
    """Every arm can be built, nothing is set twice, and arms have equal budgets."""
    owners: dict[str, str] = {}
    claims: list[tuple[str, set[str]]] = [
        ("--set", set(chosen)),
        ("[fixed]", set(space.fixed) - chosen),
        ("[search]", set(space.search)),
        *(
            (f"[compare] {axis}", {name for settings in labels.values() for name in settings})
            for axis, labels in space.compare.items()
        ),
    ]
    for owner, names in claims:
        for name in sorted(names):
            if name == "seed":
                instead = "give --seed" if owner == "--set" else "set [study] seed"
                raise UserError(
                    f"seed in {owner}: every trial has a seed of its own; {instead} instead"
                )
            if other := owners.get(name):
                raise UserError(
                    f"{name} is set in {other} and in {owner}; it can have one place only"
                )
            owners[name] = owner
    if space.arm_count > MOST_ARMS:
        raise UserError(f"[compare] makes {space.arm_count} arms; at most {MOST_ARMS} can be swept")
    used: set[str] = set()
    for arm in space.arms():
        used |= _check_arm(space, arm)
    if unused := [name for name in space.search if name not in used]:
        raise UserError(f"[search] {unused[0]} is never active: no arm meets its 'when'")
    if space.sampler == "grid":
        _check_grid(space)


def _check_arm(space: Space, arm: Arm) -> set[str]:
    """Build the configuration at every pair of searched values; returns the parameters that were active.

    Pairs, because what makes a configuration invalid lies between two parameters at most: a cell and
    an initializer, an optimizer and its momentum.
    """
    used: set[str] = set()
    single = [{name: v} for name, s in space.search.items() for v in s.extremes()]
    corners = [{name: v} for name, s in space.search.items() for v in _corners(s)]
    pairs = (a | b for a, b in itertools.combinations(corners, 2) if a.keys() != b.keys())
    for pinned in itertools.chain([{}], single, pairs):
        settings = space.example(arm, pinned)
        used |= settings.keys() & space.search.keys()
        try:
            TrialConfig.from_flat(settings)
        except MissingFiles:
            continue  # `check_data` asks for them before a sweep
        except UserError as error:
            at = "".join(f", {name} = {value!r}" for name, value in pinned.items())
            raise UserError(f"arm {arm.slug}{at}: {error}") from None
    return used


def _corners(searched: Searched) -> list[Scalar]:
    """Every name among the values, but of numbers the least and the greatest: bounds are intervals."""
    values = searched.extremes()
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    rest: list[Scalar] = [v for v in values if v not in numbers]
    return rest + ([min(numbers), max(numbers)] if numbers else [])


def _check_grid(space: Space) -> None:
    for name, searched in space.search.items():
        if searched.values is None:
            raise UserError(f'[search] {name}: sampler "grid" needs values = [...], not a range')
    sizes = {arm.slug: len(space.grid(arm, MOST_TRIALS + 1)) for arm in space.arms()}
    if max(sizes.values()) > MOST_TRIALS:
        raise UserError(f"the grid has more than {MOST_TRIALS} trials an arm; search fewer values")
    if len(set(sizes.values())) > 1:
        listing = ", ".join(f"{slug} {size}" for slug, size in sizes.items())
        raise UserError(
            f"arms must have equal budgets, but the grid gives them different numbers of trials "
            f'({listing}); use sampler = "sobol", "random" or "tpe"'
        )
    size = next(iter(sizes.values()))
    if "trials" in space.model_fields_set and space.trials != size:
        raise UserError(f"the grid has {size} trials an arm; leave out trials (got {space.trials})")
