"""Half-lives of the gradient for every combination of what networks are made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage

from analysis.data.runs import Results
from analysis.data.tasks import number
from analysis.data.wording import counted, listing, short, steps_text
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.small_multiples import colorbar_shape
from analysis.statistics.few_runs import half_life
from study.base.labels import spoken

STAGES = {"init": "before training", "final": "after training"}
COLUMNS = 6  # of a panel; what would need more of them goes into rows
LETTERS = 36  # of names side by side below a panel
MOST_ROWS = 40
SHORTEST, LONGEST = 1.0, 1000.0  # steps, between which colours differ
COLORS = "viridis"
JOINED = " · "


@dataclass(frozen=True)
class Axis:
    """One thing that differs, by the value each trial has of it."""

    name: str
    values: pd.Series

    @property
    def levels(self) -> list[str]:
        return list(dict.fromkeys(self.values))


@figure(
    "half_life_matrix",
    "Half-life of the gradient, by what differs",
    order=32,
    chapter="Gradient flow",
)
def half_life_matrix(results: Results) -> Drawing:
    """A row of panels a task, before and after training: medians over all trials of the search."""
    trials = results.trials[results.trials["log_slope_init"].notna()].reset_index(drop=True)
    if trials.empty:
        raise Missing("No trial has a half-life of its gradient.")
    down, across = _layout(_axes(results, trials))
    trials = trials.assign(row=_joined(down, trials), column=_joined(across, trials))
    rows = _ordered(down, trials["row"])[:MOST_ROWS]
    columns = _ordered(across, trials["column"])
    tasks = [task for task in results.tasks if (trials["task"] == task).any()]
    upright = _upright(columns)
    deep = 0.075 * max(map(len, map(_words, columns))) if not upright else 0.2
    heights = [0.7 + deep + 0.26 * len(rows)]
    drawn, axes = style.rows([2] * len(tasks), heights * len(tasks))
    for place, task in enumerate(tasks):
        own = trials[trials["task"] == task]
        for column, (stage, when) in enumerate(STAGES.items()):
            panel = axes[2 * place + column]
            mesh = _matrix(panel, own, f"log_slope_{stage}", rows, columns)
            panel.set_xticks(
                range(len(columns)),
                [_words(name) for name in columns],
                rotation=0 if upright else 90,
            )
            first = column == 0 and len(tasks) > 1
            panel.set_title(f"{style.plain(task, 60)}\n{when}" if first else when)
            panel.tick_params(labelleft=column == 0)
    bar = drawn.colorbar(mesh, ax=axes, extend="both", **colorbar_shape(drawn))
    bar.set_label("half-life, steps")
    style.logarithmic(bar.ax.yaxis)
    shown = trials[trials["row"].isin(rows)]
    return Drawing(
        drawn,
        _caption(results, shown, down, across),
        [f"gradient_flow/{stage}/log_slope_per_step" for stage in STAGES],
        shown["run_id"],
    )


def _axes(results: Results, trials: pd.DataFrame) -> list[Axis]:
    """The compared ones, which are not the task, then the searched ones whose values are names."""
    parts = trials["architecture"].str.split(JOINED)
    compared = []
    for place in range(int(parts.str.len().max())):
        values = parts.str[place].fillna("")
        compared.append(Axis(_compared(results, set(values)), values))
    searched = []
    for name, spec in results.searched.items():
        values = spec.get("values")
        if isinstance(values, list) and all(math.isnan(number(value)) for value in values):
            searched.append(Axis(name, trials[f"param.{name}"].astype(str)))
    return [compared[0], *(a for a in [*compared[1:], *searched] if len(a.levels) > 1)]


def _compared(results: Results, labels: set[str]) -> str:
    """The compared axis that has these labels."""
    for axis, known in results.space.get("compare", {}).items():
        if labels <= {spoken(axis, label) for label in known}:
            return str(axis)
    return "architecture"


def _layout(axes: Sequence[Axis]) -> tuple[list[Axis], list[Axis]]:
    """Which go down and which across: across while there is room, the first of all down."""
    down, across, width = list(axes[:1]), [], 1
    for axis in axes[1:]:
        if width * len(axis.levels) <= COLUMNS:
            across.append(axis)
            width *= len(axis.levels)
        else:
            down.append(axis)
    return down, across


def _joined(axes: Sequence[Axis], trials: pd.DataFrame) -> pd.Series:
    if not axes:
        return pd.Series("", index=trials.index)
    joined = axes[0].values
    for axis in axes[1:]:
        joined = joined + JOINED + axis.values
    return joined


def _ordered(axes: Sequence[Axis], joined: pd.Series) -> list[str]:
    """Combinations that occur, the first axis the slowest, each in the order in which it came up."""
    found: list[str] = [""]
    for place, axis in enumerate(axes):
        found = [f"{one}{JOINED * (place > 0)}{level}" for one in found for level in axis.levels]
    there = set(joined)
    return [name for name in found if name in there]


def _matrix(
    panel: Axes, trials: pd.DataFrame, slope: str, rows: Sequence[str], columns: Sequence[str]
) -> AxesImage:
    medians = trials.pivot_table(index="row", columns="column", values=slope, aggfunc="median")
    medians = medians.reindex(index=rows, columns=columns)
    lives = medians.map(lambda value: math.nan if math.isnan(value) else half_life(value))
    panel.set_facecolor("white")
    norm = LogNorm(SHORTEST, LONGEST)
    shades = lives.to_numpy(dtype=float).clip(SHORTEST / 2, LONGEST * 2)
    mesh = panel.imshow(shades, norm=norm, cmap=COLORS, aspect="auto")
    for (row, column), life in np.ndenumerate(lives.to_numpy(dtype=float)):
        dark = not math.isnan(life) and life < math.sqrt(SHORTEST * LONGEST)
        panel.text(
            column,
            row,
            _number(life),
            ha="center",
            va="center",
            color="white" if dark else style.INK,
            fontsize=style.FONT - 0.5,
        )
    panel.set_yticks(range(len(rows)), [style.plain(name, 28) for name in rows])
    panel.tick_params(length=0)
    panel.grid(visible=False)
    return mesh


def _words(combination: str) -> str:
    return style.plain(combination, 26)


def _upright(columns: Sequence[str]) -> bool:
    """Whether the columns' names have room beside one another; else they stand on end."""
    return len(columns) * (max(map(len, map(_words, columns))) + 2) <= LETTERS


def _number(life: float) -> str:
    """In at most four letters: 0.87, 12, 750, 1.3k, ∞."""
    if 1e6 <= life < math.inf:
        return f">{10**6 // 1000}k"
    return f"{short(life / 1000, 2)}k" if 999.5 <= life < math.inf else short(life, 2)


def _caption(
    results: Results, trials: pd.DataFrame, down: Sequence[Axis], across: Sequence[Axis]
) -> str:
    named = [f"{_says(axes)} {way}" for axes, way in ((down, "down"), (across, "across")) if axes]
    text = f"""Steps in which the gradient of the cell's output, followed back, falls to a half: ln 2 over the
        median slope of the log norm of all trials of the search, solved or not, whatever else they tried;
        {listing(named)}. 1.3k is 1,300; ∞ is a gradient that does not fall. Half-lives longer than a
        sequence are extrapolated. A dash is a combination that no trial had."""
    return f"{text} {_shown(results, trials)}"


def _says(axes: Sequence[Axis]) -> str:
    return listing([axis.name for axis in axes])


def _shown(results: Results, trials: pd.DataFrame) -> str:
    """Extremes before training over all tasks, and how often training lengthens it."""
    groups = trials.groupby(["row", "column"], sort=False)[["log_slope_init", "log_slope_final"]]
    slopes = groups.median()
    sizes = groups.size()
    lives: Mapping[tuple[str, str], float] = slopes["log_slope_init"].map(half_life).to_dict()
    names = {key: JOINED.join(filter(None, key)) for key in lives}
    tasks = " over all tasks" if len(results.tasks) > 1 else ""
    if len(lives) == 1:
        [(key, life)] = lives.items()
        text = f"""Before training {names[key]} has a half-life of {_steps(life)}
            ({counted(int(sizes[key]), "trial")})."""
    else:
        longest, shortest = max(lives, key=lambda k: lives[k]), min(lives, key=lambda k: lives[k])
        text = f"""Before training the longest is that of {names[longest]},
            {_steps(lives[longest])}{tasks} ({counted(int(sizes[longest]), "trial")}), the shortest that of
            {names[shortest]}, {_steps(lives[shortest])} ({counted(int(sizes[shortest]), "trial")})."""
    known = slopes.dropna()
    longer = int((known["log_slope_final"] > known["log_slope_init"]).sum())
    if len(known) == 1:
        text += f" After training it is {'longer' if longer else 'no longer than that'}."
    elif len(known):
        text += f" After training it is longer in {longer} of {len(known)} combinations."
    return text


def _steps(life: float) -> str:
    text = steps_text(life)
    return text if math.isinf(life) else f"{text} {'step' if text == '1' else 'steps'}"
