"""A search space's TOML file, read and validated down to every arm's configurations."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from study.base.errors import UserError, unknown
from study.base.registry import describe_problem
from study.base.toml import Scalar, read_toml
from study.spaces.check import check_space
from study.spaces.index import check_study_name
from study.spaces.sections import baselines_of, compare_of, fixed_of, search_of, with_conditions
from study.spaces.space import Space
from study.trial.config import full_name

_TABLES = (
    "fixed",
    "compare",
    "search",
    "ranges",
    "baselines",
)  # of a space, that [study] does not set


def load(path: Path, settings: Mapping[str, Scalar] | None = None, **overrides: Any) -> Space:
    """Read and validate a space down to every arm's configurations. Raises UserError.

    ``settings`` (from ``--set``) join and replace those of [fixed], ``overrides`` what [study] says
    (trials, seed …) where they are not None. The files that a task needs may be missing: see
    `space.check_data`.
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
    sections = ("study", "fixed", "compare", "search", "baseline")
    if not text:
        raise UserError("the file is empty; 'longlag show space quickstart' shows what a study has")
    for section, content in text.items():
        if section not in sections:
            raise unknown("section", section, sections)
        if section != "baseline" and not isinstance(content, Mapping):
            raise UserError(f"{section} must be a table, [{section}]")
    study = dict(text.get("study", {}))
    given = {
        "name": study.get("name", stem),
        **study,
        **{key: value for key, value in overrides.items() if value is not None},
    }
    for key in given:
        if key in _TABLES or key not in Space.model_fields:
            settings = [f for f in Space.model_fields if f not in _TABLES]
            raise UserError(f"[study]: {unknown('setting', key, settings)}")
    if not isinstance(given["name"], str):
        raise UserError("[study] name must be a string")
    check_study_name(given["name"])
    compare, ranges = compare_of(text.get("compare", {}))
    search = search_of(text.get("search", {}))
    try:
        space = Space(
            **given,
            fixed=fixed_of(text.get("fixed", {}), "[fixed]") | fixed_of(chosen, "--set"),
            compare=compare,
            search=search,
            ranges=with_conditions(ranges, search),
            baselines=baselines_of(text.get("baseline", [])),
        )
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise UserError(f"[study] {path}: {describe_problem(problem)}") from None
    check_space(space, {full_name(name) for name in chosen})
    return space
