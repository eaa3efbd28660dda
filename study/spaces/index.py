"""Which studies there are, and what each is in one line: from its file's text alone.

Nothing is checked against cells and tasks here: that takes loading all of them, see `file`.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.base.errors import UserError, unknown
from study.base.limits import name_problem
from study.base.toml import read_toml

PACKAGED = Path(__file__).resolve().parents[2] / "search_spaces"
ALL = "all"  # as an axis's values: everything that there is of a kind
TRIALS = 10  # an arm, where a study does not say


def find(name_or_path: str) -> Path:
    """The file of a study: a path, or a name in ./search_spaces or in the ones that come along.

    Raises UserError.
    """
    if name_or_path.endswith(".toml") or _is_file(name_or_path):
        if not _is_file(name_or_path):
            there = os.path.lexists(name_or_path.replace("\0", ""))
            problem = "no regular file" if there else "no such file"
            raise UserError(f"{problem}: {name_or_path}")
        return Path(name_or_path)
    known = available()
    if name_or_path in known:
        return known[name_or_path]
    if os.path.isdir(name_or_path.replace("\0", "")):
        raise UserError(
            f"{name_or_path} is a folder; give a TOML file, or a name of `longlag list spaces`"
        )
    check_study_name(name_or_path)
    raise unknown("search space", name_or_path, known)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than any file name can be
        return False


def available() -> dict[str, Path]:
    """Name -> file, of the folder one works in first, then of the package; folders in them count too."""
    folders = [PACKAGED, Path("search_spaces").resolve()]
    return {path.stem: path for folder in folders for path in _spaces_in(folder)}


def _spaces_in(folder: Path) -> list[Path]:
    """Those in the folder's own folders come last."""
    return [*sorted(folder.glob("*.toml")), *sorted(folder.glob("*/*.toml"))]


def check_study_name(name: str) -> str:
    """The name. Raises UserError when no study can have it."""
    if problem := name_problem(name):
        raise UserError(problem)
    return name


def listing() -> RenderableType:
    """A line a study. Raises nothing: a file that cannot be read is told in its line."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(("space", "arms", "trials an arm", "question")):
        table.add_column(column, no_wrap=index == 0)
    for name, path in available().items():
        try:
            text = read_toml(path)
            study = _table(text, "study")
            question = " ".join(str(study.get("question", "")).split())
            table.add_row(name, arms(_table(text, "compare")), _trials(study), question)
        except UserError as error:
            table.add_row(name, "", "", Text(f"cannot be read: {error}", style="red"))
    return Group(table, "", Text("longlag show space NAME has a study's arms", style="dim"))


def _table(text: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    found = text.get(section, {})
    if not isinstance(found, Mapping):
        raise UserError(f"{section} must be a table, [{section}]")
    return found


def _trials(study: Mapping[str, Any]) -> str:
    if study.get("sampler") == "grid":
        return "grid"
    return str(study.get("trials", TRIALS))


def arms(compare: Mapping[str, Any]) -> str:
    """How many arms [compare] makes: "12", or "every cell × 3" where an axis has all of a kind."""
    every, counts = [], []
    for path, values in _axes("", compare):
        if values == ALL:
            every.append(f"every {path.rpartition('.')[2]}")
        else:
            counts.append(len(values))
    number = math.prod(counts)
    return " × ".join([*every, *([str(number)] if number > 1 or not every else [])])


def _axes(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The name and the values, or labels, of every axis."""
    if isinstance(value, Mapping) and (not path or _has_values(value)):
        for key, inner in value.items():
            yield from _axes(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) or value == ALL or _has_labels(value):
        yield path, value
    else:
        raise UserError(f"[compare] {path} must be a list of values, or a table of labels")


def _has_values(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_values(inner) for inner in value.values())
    return isinstance(value, list) or value == ALL


def _has_labels(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(settings, Mapping) for settings in value.values())
    )
