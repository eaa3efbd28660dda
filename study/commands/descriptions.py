"""What `longlag list` and `longlag show` print. Each imports what it tells of, and nothing else.

So a list of nonlinearities need not wait for the tasks, nor the page of a cell for the training.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.commands.layout import headed_table
from study.spaces import index as space_index

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from study.base.registry import Choices


def _cells() -> RenderableType:
    from study.cells import CELLS

    table = headed_table("cell", "what it is")
    for name, cell in CELLS.items():
        table.add_row(name, cell.summary)
    return Group(table, "", Text("longlag show cell NAME has a cell's equations", style="dim"))


def _nonlinearities() -> RenderableType:
    from study.language.nonlinearities import NONLINEARITIES

    table = headed_table("nonlinearity", "φ(a)", "sup |φ'|")
    for name, nonlinearity in NONLINEARITIES.items():
        table.add_row(name, nonlinearity.formula, f"{nonlinearity.gamma:g}")
    return table


def _choices(heading: str, choices: "Choices[Any]", prefix: str) -> Table:
    table = headed_table(heading, "what it does")
    for name, choice in choices.items():
        told = Text(_sentence(choice))
        for field in choice.parameters():
            told.append(f"\n{prefix}.{field} = {choice.model_fields[field].default}", style="dim")
        table.add_row(name, told)
    return table


def _initializers() -> RenderableType:
    from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, VECTORS

    return Group(
        _choices("of U (init.recurrent)", RECURRENT, "init.recurrent"),
        "",
        _choices("of W (init.input)", INPUT_WEIGHTS, "init.input"),
        "",
        _choices("of b (init.bias)", BIASES, "init.bias"),
        "",
        _choices("of p (init.vector)", VECTORS, "init.vector"),
    )


def _clipping() -> RenderableType:
    from study.clipping import CLIPPING

    return _choices("clipping", CLIPPING, "clip")


def _regularizers() -> RenderableType:
    from study.trial.regularizers import REGULARIZERS

    return _choices("regularizer", REGULARIZERS, "regularizer")


def _credit() -> RenderableType:
    from study.credit import CREDIT

    return _choices("credit assignment", CREDIT, "credit")


def _attention() -> RenderableType:
    from study.networks.attention import ATTENTION

    return _choices("attention", ATTENTION, "attention")


def _probes() -> RenderableType:
    from study.probes import PROBES

    when = {"init": "start", "training": "within", "final": "end", "best": "best"}
    table = headed_table("probe", "measured", "on", "what it measures")
    for name, probe in PROBES.items():
        runs = ", ".join(when[stage] for stage in probe.stages)
        table.add_row(name, runs, "confirmations" if probe.dear else "trials", probe.about)
    told = (
        "train.probes, or probes in [study], says which run: default (as above), none, all, or names "
        "between commas.\nwithin: at train.probe_points times of training; best: of the parameters that "
        "are kept"
    )
    return Group(table, "", Text(told, style="dim"))


def _tasks() -> RenderableType:
    from study.tasks import TASKS

    return _choices("task", TASKS, "task")


def _settings() -> RenderableType:
    """Every name that --set knows, but for the parameters of choices, which the other lists have."""
    from study.trial.config import GROUPS, TrialConfig, plain_settings

    table = headed_table("setting", "default", "what it is")
    for name, info in plain_settings():
        parts = filter(None, [info.description, _bounds(info)])
        table.add_row(name, json.dumps(info.default), "; ".join(parts))
    for group in GROUPS:
        default = TrialConfig().flat()[f"{group}.name"]
        told = f"one of `longlag list {_listed(group)}`, with parameters of its own"
        table.add_row(group, json.dumps(default), told)
    return table


# The list that has a group's choices, where it has another name.
_LISTED = {"task": "tasks", "clip": "clipping", "regularizer": "regularizers"}


def _listed(group: str) -> str:
    return _LISTED.get(group, "initializers" if group.startswith("init.") else group)


def _bounds(info: "FieldInfo") -> str:
    """What is allowed: "0 to 8", "above 0", "one of a, b"."""
    if choices := get_args(info.annotation):
        return f"one of {', '.join(str(choice) for choice in choices)}"
    limits = {
        sign: getattr(bound, sign)
        for bound in info.metadata
        for sign in ("ge", "gt", "le", "lt")
        if getattr(bound, sign, None) is not None
    }
    if limits.keys() == {"ge", "le"}:
        return f"{limits['ge']} to {limits['le']}"
    words = {"ge": "{} or more", "gt": "above {}", "le": "at most {:g}", "lt": "below {}"}
    return " and ".join(words[sign].format(limit) for sign, limit in limits.items())


LISTS: dict[str, Callable[[], RenderableType]] = {
    "cells": _cells,
    "nonlinearities": _nonlinearities,
    "initializers": _initializers,
    "clipping": _clipping,
    "credit": _credit,
    "attention": _attention,
    "regularizers": _regularizers,
    "tasks": _tasks,
    "probes": _probes,
    "settings": _settings,
    "spaces": space_index.listing,
}


def _sentence(cls: type[Any]) -> str:
    """The docstring's first paragraph on one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


def _cell_page(name: str) -> RenderableType:
    from study.commands.cell_description import describe_cell

    return describe_cell(name)


def task_page(name: str, settings: Sequence[str] = (), fit: bool = False) -> RenderableType:
    """As in `describe_task`, ``settings`` being NAME=VALUE."""
    from study.commands.task_description import describe_task

    if not settings:
        return describe_task(name, fit=fit)
    from study.trial.config import read_settings

    return describe_task(name, read_settings(settings), fit)


def _space_page(name: str) -> RenderableType:
    path = space_index.find(name)
    from study.commands.space_description import describe_space
    from study.spaces.file import load

    return describe_space(load(path), str(path))


PAGES: dict[str, Callable[[str], RenderableType]] = {
    "cell": _cell_page,
    "task": task_page,
    "space": _space_page,
}
