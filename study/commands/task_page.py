"""The page of all tasks in Markdown: what is asked, what chance and the criterion are, every parameter.

``make docs`` writes it to docs/tasks.md; a test keeps that file current. No data are drawn or read for
it, so what depends on a data set is left to ``longlag show task NAME``.
"""

import inspect
import re

from study.tasks import TASKS
from study.tasks.base import SyntheticTask, Task

_OPENING = """\
# The tasks

{count} tasks, one file each in the three rooms below `study/tasks/`. This page is made from them by
`make docs`. `longlag show task NAME` prints one in the terminal and draws an example; `--baselines` tells
what simple readouts reach without memory. `--set task.length=200` changes a parameter, in a search space
`task = {{ name = "adding", length = 200 }}`.

The *lag* is the number of steps between an input and the answer that depends on it. *Chance* is the
loss of the best prediction that ignores the input. A *plateau* is the loss of a partial solution. The
*floor* is the lowest loss there can be, where it is not 0. All numbers hold for the parameters' default
values.
"""

_ROOMS = {
    "synthetic": (
        "Synthetic tasks",
        "Their sequences are computed, so no files are needed.",
    ),
    "real": (
        "Real sequences",
        """\
Their sequences are data. `digits` and, at its defaults, `characters` need no files. The others read files
that you have, `--set task.path=…`; without them one line says which files are expected. Nothing is fetched,
but for MNIST with `task.download=true` and `pip install 'longlag[vision]'`. Pickles are read without being
executed.

`longlag show task csv-series --set task.path=weather.csv` draws a window of your own file, with its chance
level and what naive forecasts reach. Every row of a held-out part is forecast, whatever the length: what is
read may lie in the part before, what is forecast may not. `task.split` takes shares or counts of rows
(`8640,2880,2880` for ETT by the hour). A repeated value far outside all others, such as -9999, is refused
unless `task.far_values = "keep"`. Quotes in a `.tsv` file mean nothing unless all enclose a field.""",
    ),
    "written": (
        "Tasks with a written answer",
        "The network reads a sequence and then writes one: [shapes.md](shapes.md) has the networks for it.",
    ),
}


def page() -> str:
    """The whole page."""
    lines = [_OPENING.format(count=len(TASKS))]
    for room, (title, about) in _ROOMS.items():
        tasks = [(name, cls) for name, cls in TASKS.items() if _room(cls) == room]
        lines += [f"## {title}", "", about, "", "| task | what is asked |", "|---|---|"]
        for name, cls in tasks:
            files = " *Needs files.*" if cls.needs_files else ""
            lines.append(f"| [`{name}`](#{name}) | {_prose(_paragraphs(cls)[0])}{files} |")
        lines.append("")
        for name, cls in tasks:
            lines += [f"### {name}", "", *_section(TASKS.build(name), cls)]
    return "\n".join(lines).rstrip() + "\n"


def _room(cls: type[Task]) -> str:
    return cls.__module__.split(".")[-2]


def _section(task: Task, cls: type[Task]) -> list[str]:
    lines = [f"**{_prose(task.title)}.**"]
    for paragraph in _paragraphs(cls):
        lines += [_prose(paragraph), ""]
    lines += [f"- **{name}** {value}" for name, value in _facts(task)]
    lines += [f"- **Source** {_prose(task.source)}", ""]
    if not cls.parameters():
        return lines
    lines += ["| parameter | default | |", "|---|---|---|"]
    for field in cls.parameters():
        told = cls.model_fields[field].description or ""
        default = str(getattr(task, field))
        shown = f"`{default}`" if default else "none"
        lines.append(f"| `task.{field}` | {shown} | {_prose(told)} |")
    return [*lines, ""]


def _facts(task: Task) -> list[tuple[str, str]]:
    """What follows from the parameters alone."""
    if not isinstance(task, SyntheticTask):
        measure = f", beside it {task.metric}" if task.metric else ""
        return [("Loss", _prose(task.loss_name + measure))]
    read = {
        "last": "after the last step",
        "every": "at every step",
        "generated": f"written afterwards, up to {task.answer_steps} steps",
    }
    fewest, most = task.lag
    facts = [
        ("Input", f"{task.steps} steps of {task.input_size}"),
        ("Output", f"{task.output_size}, {read[task.reads]}"),
        ("Lag", f"{fewest} steps" if fewest == most else f"{fewest} to {most} steps"),
        ("Loss", f"{task.loss_name}; chance {task.chance_loss:.4g}"),
    ]
    if task.floor_loss:
        facts.append(("Floor", f"{task.floor_loss:.4g}"))
    facts += [("Plateau", f"{level:.4g}, {name}") for name, level in task.plateaus.items()]
    if task.metric:
        facts.append(("Metric", f"{task.metric}; chance {task.chance_metric:.3g}"))
    facts.append(("Solved", task.solved_rule))
    return [(name, _prose(value)) for name, value in facts]


def _paragraphs(cls: type[Task]) -> list[str]:
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    return [" ".join(paragraph.split()) for paragraph in paragraphs]


def _prose(text: str) -> str:
    """As Markdown: ``code`` stays code, and elsewhere no sign is taken for a mark of emphasis."""
    parts = re.split(r"``(.+?)``", text)
    plain = [re.sub(r"([*_|<\\])", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part}`" for part in parts[1::2]]
    return "".join(a + b for a, b in zip(plain, [*code, ""], strict=True))


if __name__ == "__main__":
    print(page(), end="")
