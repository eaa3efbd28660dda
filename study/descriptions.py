"""What `longlag list` and `longlag show` print."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from study import space_index
from study.cells import CELLS
from study.clipping import CLIPPING
from study.config import GROUPS, TrialConfig, plain_settings
from study.credit import CREDIT
from study.equations import Cell
from study.errors import MissingFiles, UserError
from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, VECTORS
from study.models.attention import ATTENTION
from study.nonlinearities import NONLINEARITIES
from study.registry import Choices
from study.regularizers import REGULARIZERS
from study.space_file import load
from study.space_index import find
from study.spaces import Searched, Space, check_files, planned_trials
from study.task_drawing import example
from study.tasks import TASKS
from study.tasks.base import Task
from study.tasks.baselines import baselines
from study.toml import Scalar


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0)
    return table


def _cells() -> RenderableType:
    table = _table("cell", "what it is")
    for name, cell in CELLS.items():
        table.add_row(name, cell.summary)
    return Group(table, "", Text("longlag show cell NAME has a cell's equations", style="dim"))


def _nonlinearities() -> RenderableType:
    table = _table("nonlinearity", "φ(a)", "sup |φ'|")
    for name, nonlinearity in NONLINEARITIES.items():
        table.add_row(name, nonlinearity.formula, f"{nonlinearity.gamma:g}")
    return table


def _choices(heading: str, choices: Choices[Any], prefix: str) -> Table:
    table = _table(heading, "what it does")
    for name, choice in choices.items():
        told = Text(_sentence(choice))
        for field in choice.parameters():
            told.append(f"\n{prefix}.{field} = {choice.model_fields[field].default}", style="dim")
        table.add_row(name, told)
    return table


def _initializers() -> RenderableType:
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
    return _choices("clipping", CLIPPING, "clip")


def _regularizers() -> RenderableType:
    return _choices("regularizer", REGULARIZERS, "regularizer")


def _credit() -> RenderableType:
    return _choices("credit assignment", CREDIT, "credit")


def _attention() -> RenderableType:
    return _choices("attention", ATTENTION, "attention")


def _tasks() -> RenderableType:
    return _choices("task", TASKS, "task")


def _settings() -> RenderableType:
    """Every name that --set knows, but for the parameters of choices, which the other lists have."""
    table = _table("setting", "default", "what it is")
    for name, info in plain_settings():
        parts = filter(None, [info.description, _bounds(info)])
        table.add_row(name, json.dumps(info.default), "; ".join(parts))
    for group in GROUPS:
        default = TrialConfig().flat()[f"{group}.name"]
        told = f"one of `longlag list {_LISTED[group]}`, with parameters of its own"
        table.add_row(group, json.dumps(default), told)
    return table


# The list that has a group's choices.
_LISTED = {
    "task": "tasks",
    "clip": "clipping",
    "regularizer": "regularizers",
    **{group: "initializers" for group in GROUPS if group.startswith("init.")},
    **{group: group for group in ("attention", "credit")},
}


def _bounds(info: FieldInfo) -> str:
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
    "settings": _settings,
    "spaces": space_index.listing,
}


def describe_cell(name: str) -> RenderableType:
    """Equations, states, parameters and source."""
    cell = CELLS[name]
    facts = _facts()
    states = ", ".join(cell.variables) + f"; the output is {cell.output}"
    carried = len(cell.states) - len(cell.variables)
    facts.add_row("states", states + (f"; {carried} more carry the past" if carried else ""))
    shapes = {"I": "(H,I)", "H": "(H,H)", None: "(H)"}
    facts.add_row(
        "parameters", "  ".join(f"{p.name} {shapes[p.columns]}" for p in cell.parameters.values())
    )
    facts.add_row("count", f"{cell.parameter_formula()}   with I inputs and H units")
    roles = ", ".join(f"{gate} {does}" for gate, does in cell.roles.items())
    facts.add_row("gates", roles or "none that keeps or replaces the state")
    facts.add_row("suits", suiting(cell))
    facts.add_row("source", cell.source)
    if cell.note:
        facts.add_row("note", cell.note)
    lines = [line.strip() for line in cell.equations.strip().splitlines()]
    equations = "\n".join(filter(None, [*lines, *cell.conditions()]))
    reading = "x input, ' new state, * element by element, W U matrices, b p k vectors"
    if "t" in cell.states:
        reading += ", t the step's index from 0"
    if cell.uses_phi:
        reading += ", phi: --set model.phi=…"
    return Group(
        Text(f"{cell.name}", style="bold"),
        cell.summary,
        "",
        Padding(Text(equations, style="cyan"), (0, 0, 0, 4)),
        "",
        Padding(Text(reading, style="dim"), (0, 0, 1, 4)),
        facts,
    )


def suiting(cell: Cell) -> str:
    """The initializers that are not refused for the cell, by what they start."""
    has_biases = any(p.columns is None and p.name[0] == "b" for p in cell.parameters.values())
    groups = (
        ("U", RECURRENT, cell.trained_matrices),
        ("b", BIASES, has_biases),
        ("p", VECTORS, cell.weights),
    )

    def suit(choices: Choices[Any]) -> str:
        made = ((name, choice.model_validate({"name": name})) for name, choice in choices.items())
        return ", ".join(name for name, choice in made if choice.refusal(cell) is None)

    return "; ".join(f"{symbol}: {suit(choices)}" for symbol, choices, has in groups if has)


def describe_task(name: str, settings: Mapping[str, Scalar] | None = None) -> RenderableType:
    """What is asked, chance, plateaus, the criterion, what meets it without memory, the source.

    ``settings`` by flat name, such as "task.length". Raises UserError for one that the task has not.
    """
    cls = TASKS[name]
    task = TASKS.build({"name": name} | dict(map(_of_task, (settings or {}).items())))
    facts = _facts()
    try:
        told, drawn = _task_facts(task), example(task)
    except UserError as error:  # files that are not there
        told, drawn = [("loss", task.loss_name), ("data", str(error))], ""
    for fact in told:
        facts.add_row(*fact)
    for field in cls.parameters():
        info = cls.model_fields[field]
        words = f"  ({info.description})" if info.description else ""
        facts.add_row("parameter", f"task.{field} = {getattr(task, field)}{words}")
    facts.add_row("source", task.source)
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    heading = Text(f"{task.name}: {task.title}", style="bold")
    if drawn:
        picture = Padding(Text(drawn, style="cyan", no_wrap=True), (0, 0, 0, 4))
        return Group(heading, "", text, "", picture, "", facts)
    return Group(heading, "", text, "", facts)


def _of_task(setting: tuple[str, Scalar]) -> tuple[str, Scalar]:
    name, value = setting
    if not name.startswith("task.") or name == "task.name":
        raise UserError(f"{name} is no parameter of a task, as task.length is")
    return name.removeprefix("task."), value


def _task_facts(task: Task) -> list[tuple[str, str]]:
    """Raises UserError where they depend on files that are not there."""
    read = {"last": "read after the last step", "every": "read at every step"}
    read["generated"] = f"written after it, up to {task.answer_steps} steps"
    fewest, most = task.lag
    facts = [
        ("input", f"{task.steps} step{'s' * (task.steps > 1)} of {task.input_size}"),
        ("output", f"{task.output_size}, {read[task.reads]}"),
        ("lag", f"{fewest} steps" if fewest == most else f"{fewest} to {most} steps"),
        ("loss", task.loss_name),
        ("chance", f"{task.chance_loss:.5g}"),
    ]
    if task.floor_loss:
        where = "of the source's own network at its best"
        if not task.reads_state:
            where = "where all that can be foreseen is"
        facts.append(("floor", f"{task.floor_loss:.5g}, {where}"))
    facts += [("plateau", f"{level:.5g}, {name}") for name, level in task.plateaus.items()]
    if task.metric:
        facts.append(("metric", f"{task.metric}, by chance {task.chance_metric:.3g}"))
    facts.append(("solved", task.solved_rule))
    for baseline in baselines(task):
        scores = ", ".join(f"{name} {value:.3g}" for name, value in baseline.scores.items())
        met = ", and so meets the criterion" if baseline.meets else ""
        facts.append(("baseline", f"{baseline.name}: {scores}{met}"))
    return facts + [("note", remark) for remark in task.remarks]


_PRUNERS = {
    "none": "",
    "beaten": ": stops what has used as many updates as its arm's best trial needed to solve the task",
    "halving": ": stops the worse half, and with it what would leave a plateau later",
    "median": ": stops what is behind the median, and with it what would leave a plateau later",
}


def describe_space(space: Space, path: str) -> RenderableType:
    """The question, the arms, what is fixed, compared and searched."""
    arms = space.arms()
    trials = planned_trials(space)
    total = len(arms) * trials
    facts = _facts()
    facts.add_row("file", path)
    named = ", ".join(arm.title for arm in arms[:12]) + (" …" if len(arms) > 12 else "")
    facts.add_row("arms", f"{len(arms)}: {named}")
    seeds = f"{space.confirmations} fresh seed{'s' * (space.confirmations != 1)}"
    facts.add_row(
        "budget",
        f"{trials} trials an arm, {total} in all, then {seeds} for each arm's best",
    )
    facts.add_row("sampler", f"{space.sampler}, seed {space.seed}")
    facts.add_row("pruner", f"{space.pruner}{_PRUNERS[space.pruner]}")
    for axis, labels in space.compare.items():
        for label, settings in labels.items():
            told = ", ".join(f"{k} = {v}" for k, v in settings.items())
            facts.add_row(f"compare {axis}", f"{label}: {told}")
    for name, searched in space.search.items():
        facts.add_row("search", f"{name} {searched_in_words(searched)}")
    for name, value in space.fixed.items():
        facts.add_row("fixed", f"{name} = {value}")
    try:
        check_files(space)
    except MissingFiles as error:
        facts.add_row("missing", str(error))
    default = {
        k: v
        for k, v in TrialConfig().flat().items()
        if k.startswith("train.") and k not in space.fixed and k not in space.search
    }
    facts.add_row("default", ", ".join(f"{k} = {v}" for k, v in default.items()) or "-")
    paragraphs = [space.question, *space.notes.strip().split("\n\n")]
    texts = [part for text in paragraphs if text for part in (" ".join(text.split()), "")]
    return Group(Text(space.name, style="bold"), *texts, facts)


def searched_in_words(searched: Searched) -> str:
    """ "0.001 to 0.1, log scale, when model.cell is lstm"."""
    if searched.values is not None:
        text = "one of " + ", ".join(str(v) for v in searched.values)
    else:
        low, high = searched.range
        text = f"{low:g} to {high:g}" + (", log scale" if searched.log else "")
        text += ", log scale of the distance to 1" if searched.log_below_one else ""
    for name, values in searched.when.items():
        text += f", when {name} is {' or '.join(str(v) for v in values)}"
    return text


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _sentence(cls: type[Any]) -> str:
    """The docstring's first paragraph on one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


def _space_page(name: str) -> RenderableType:
    path = find(name)
    return describe_space(load(path), str(path))


PAGES: dict[str, Callable[[str], RenderableType]] = {
    "cell": describe_cell,
    "task": describe_task,
    "space": _space_page,
}
