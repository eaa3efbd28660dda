"""A panel an arm: the tasks in blocks below one another, in each the architectures side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import counted
from analysis.figures import style

COLUMNS = 4
LETTERS = 54  # of titles side by side across the page
MOST = 40  # panels on a page; of more, no one is looked at

Arm = tuple[str, str]  # task, architecture


@dataclass(frozen=True)
class Panels:
    """``by_arm`` in the order of the page; ``left_out`` arms have no panel."""

    figure: Figure
    by_arm: dict[Arm, Axes]
    left_out: int

    def said(self) -> str:
        """What is left out, in a sentence for the caption; nothing where nothing is."""
        if not self.left_out:
            return ""
        return f" The first {counted(len(self.by_arm), 'arm')}; {self.left_out} more have no panel."


def arms_of(results: Results, arms: Iterable[Arm]) -> list[Arm]:
    """These arms in the study's order: by task, then by architecture."""
    there = set(arms)
    ordered = ((task, name) for task in results.tasks for name in results.architectures)
    return [arm for arm in ordered if arm in there]


def by_arm(results: Results, found: Sequence[Found]) -> dict[Arm, list[Found]]:
    """In the study's order."""
    arms = arms_of(results, ((f.task, f.architecture) for f in found))
    return {arm: [f for f in found if (f.task, f.architecture) == arm] for arm in arms}


def panels(results: Results, arms: Sequence[Arm], x: str, y: str, height: float = 1.6) -> Panels:
    """Axes with titles and with labels at the page's left and at each block's lower edge.

    The first panel of a task names it in a line above, where there are several.
    """
    shown = list(arms)[:MOST]
    tasks = list(dict.fromkeys(task for task, _ in shown))
    blocks = [[arm for arm in shown if arm[0] == task] for task in tasks]
    columns = _columns([len(block) for block in blocks])
    lines = sum(-(-len(block) // columns) for block in blocks)
    if columns < 3:
        height *= 1.35
    figure = Figure(figsize=(style.WIDTH, lines * height + 0.5), layout=style.page_layout())
    grid = figure.add_gridspec(lines, columns)
    found: dict[Arm, Axes] = {}
    top = 0
    for block in blocks:
        for place, arm in enumerate(block):
            panel = figure.add_subplot(grid[top + place // columns, place % columns])
            first = place == 0 and len(tasks) > 1
            task_line = f"{style.plain(arm[0], 60)}\n" if first else ""
            panel.set_title(task_line + _title(arm[1], LETTERS // columns))
            panel.tick_params(
                labelleft=place % columns == 0, labelbottom=place + columns >= len(block)
            )
            if place % columns == 0:
                panel.set_ylabel(y)
            if place + columns >= len(block):
                panel.set_xlabel(x)
            found[arm] = panel
        top += -(-len(block) // columns)
    return Panels(figure, found, len(arms) - len(shown))


def _title(architecture: str, letters: int) -> str:
    """In one line where that is long enough, else a line for each axis that was compared."""
    if len(architecture) <= letters:
        return style.plain(architecture, letters)
    return "\n".join(style.plain(part, letters) for part in architecture.split(" · "))


def colorbar_shape(figure: Figure) -> dict[str, Any]:
    """Of a bar as tall as the page: always as wide."""
    return {
        "aspect": max(6.0 * figure.get_figheight(), 12.0),
        "shrink": 0.9,
        "pad": 0.02,
        "extendfrac": 0.02,
    }


def _columns(counts: Sequence[int]) -> int:
    """As many as there are, up to COLUMNS; of these one fewer where that costs no line."""
    most = min(COLUMNS, max(counts))

    def lines(columns: int) -> int:
        return sum(-(-count // columns) for count in counts)

    return min(range(max(most - 1, 1), most + 1), key=lambda c: (lines(c), c))


def named(results: Results, arm: Arm) -> str:
    """An arm within a sentence."""
    task, architecture = arm
    return f"{architecture} on {task}" if len(results.tasks) > 1 else architecture
