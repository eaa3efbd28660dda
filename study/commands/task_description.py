"""The page of a task in the terminal."""

import inspect
import json
import shlex
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from study.base.errors import UserError
from study.base.toml import Scalar
from study.commands.layout import fact_table
from study.tasks import TASKS
from study.tasks.base import Task
from study.tasks.kept_baselines import fitted, known
from study.tasks.sketch import example


def describe_task(
    name: str, settings: Mapping[str, Scalar] | None = None, fit: bool = False
) -> RenderableType:
    """What is asked, chance, plateaus, the criterion, what meets it without memory, the source.

    ``settings`` by flat name, such as "task.length". Baselines that are not known from before are
    fitted only if ``fit``, as that takes seconds. Raises UserError for a setting that the task has not.
    """
    cls = TASKS[name]
    task = TASKS.build({"name": name} | dict(map(_of_task, (settings or {}).items())))
    facts = fact_table()
    try:
        told, drawn = _facts(task), example(task)
        told += _baselines(task, settings or {}, fit) + [("note", note) for note in task.remarks]
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


def _facts(task: Task) -> list[tuple[str, str]]:
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
    return facts


def _baselines(task: Task, settings: Mapping[str, Scalar], fit: bool) -> list[tuple[str, str]]:
    found = fitted(task) if fit else known(task)
    if found is None:
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in settings.items()}
        chosen = [word for k, text in texts.items() for word in ("--set", f"{k}={text}")]
        command = shlex.join(["longlag", "show", "task", task.name, *chosen, "--baselines"])
        return [("baselines", f"fitted when asked for, in some seconds: {command}")]
    facts = []
    for baseline in found:
        scores = ", ".join(f"{name} {value:.3g}" for name, value in baseline.scores.items())
        met = ", and so meets the criterion" if baseline.meets else ""
        facts.append(("baseline", f"{baseline.name}: {scores}{met}"))
    return facts
