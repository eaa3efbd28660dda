"""Two panels a task, before and after training, a line an arm: what several figures share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.figures import style
from analysis.figures.small_multiples import Arm, by_arm

WHEN = {"before": "before training", "after": "after training"}
STAGES = {"init": "before", "best": "after", "final": "after"}

Lines = Mapping[tuple[Arm, str], pd.Series]  # by arm and "before" or "after", over the x axis


def lines(
    results: Results, found: Sequence[Found[Any]], read: Callable[[Any], pd.Series]
) -> dict[tuple[Arm, str], pd.Series]:
    """Medians over runs at each place of the x axis."""
    made = {}
    for arm, own in by_arm(results, found).items():
        for when in WHEN:
            parts = [read(f.finding) for f in own if STAGES[f.stage] == when]
            if parts:
                made[arm, when] = pd.concat(parts, axis=1).median(axis=1).sort_index()
    return made


def drawn(
    results: Results, curves: Lines, x: str, y: str, finish: Callable[[Axes, str], None]
) -> Figure:
    """``finish`` sets the scales of a panel of a task."""
    there = {arm for arm, _ in curves}
    tasks = [task for task in results.tasks if any(arm[0] == task for arm in there)]
    looks = style.looks(results.architectures)
    figure, axes = style.rows([2] * len(tasks), 2.1)
    for place, task in enumerate(tasks):
        for column, (when, words) in enumerate(WHEN.items()):
            panel = axes[2 * place + column]
            for (arm, at), line in curves.items():
                if arm[0] == task and at == when:
                    look = looks[arm[1]]
                    panel.plot(
                        line.index,
                        line,
                        color=look.color,
                        linestyle=look.dashes,
                        linewidth=1.8,
                        marker="." if len(line) == 1 else "",
                    )
            panel.set_title(style.plain(f"{task}, {words}" if len(tasks) > 1 else words, 36))
            panel.tick_params(labelleft=column == 0)
            panel.set_xlabel(x)
            finish(panel, task)
        axes[2 * place].set_ylabel(y)
    names = [n for n in results.architectures if any(arm[1] == n for arm in there)]
    style.legend_below(figure, [looks[n].line(n) for n in names])
    return figure
