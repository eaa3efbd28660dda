"""Score of every trial against what was searched."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from analysis.data.runs import Results
from analysis.data.tasks import number
from analysis.figures import Drawing, Missing, figure, style

CEILING, DIVERGED = 1.25, 1.5  # where scores above the first, and diverged trials, are drawn
ROWS = 3
MOST_TICKS = 6


@figure("search", "Score of every trial against the searched hyperparameters", order=60)
def search(results: Results) -> Drawing:
    """A row a searched number (at most three, logarithmic ones first), a column a task."""
    trials = results.trials[results.trials["score"].notna()]
    numeric = [name for name in results.searched if _values(trials, name).nunique() > 1]
    numeric.sort(key=lambda name: not results.searched[name].get("log", False))
    if not numeric:
        raise Missing("No searched number took two values in trials that have a score.")
    rows, left_out = numeric[:ROWS], numeric[ROWS:]
    tasks = [key for key in results.tasks if (trials["task"] == key).any()]
    looks = style.looks(results.architectures)
    cells = [(name, task) for name in rows for task in tasks]
    drawn, axes = style.panels(
        len(cells), columns=len(tasks) if len(tasks) <= 3 else 2, height=2.5, sharey=True
    )
    for panel, (name, task) in zip(axes, cells, strict=True):
        values = _values(trials, name)
        values = values[(trials["task"] == task) & values.notna()]  # not every arm need have it
        _panel(panel, trials.loc[values.index], values, looks)
        _range(panel, results.searched[name])
        panel.set_title(style.plain(task, 30))
        panel.set_xlabel(style.plain(name))
    for panel in axes:
        if panel.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            panel.set_ylabel("score (lower is better)")
    present = [name for name in results.architectures if (trials["architecture"] == name).any()]
    handles = [
        looks[name].line(name, linestyle="none", marker=looks[name].marker, markersize=6)
        for name in present
    ]
    style.legend_below(drawn, handles)
    text = """Every point is one trial. The score is what the search minimized: below 0 (shaded) the trial
        solved its task, at -1 at once and near 0 with its last update; above 0 it did not, and the
        score is its best validation loss over chance (dotted: chance; what is beyond 1.25 is drawn
        there). Filled: solved; hollow: not; cross: diverged. Arms that tried the same value are set
        slightly apart. A wide range of good values means that the arm is easy to tune."""
    if left_out:
        text += f" Also searched, in trials.csv: {', '.join(left_out)}."
    return Drawing(
        drawn,
        text,
        ["score", "tag outcome", *(f"parameter {name}" for name in rows)],
        trials["run_id"],
    )


def _apart(count: int) -> np.ndarray:
    """Inches: with random search all arms tried the same values, and would hide one another."""
    return style.jitter(count, min(0.045, 0.18 / max(count, 1)))


def _values(trials: pd.DataFrame, name: str) -> pd.Series:
    return trials[f"param.{name}"].map(number).astype(float)


def _range(panel: Axes, spec: Mapping[str, Any]) -> None:
    """The range that was searched, and a little more; logarithmic where the search was, or where the
    values of a list lie that far apart."""
    low, high = number(spec.get("low")), number(spec.get("high"))
    listed = sorted(v for v in map(number, spec.get("values") or ()) if math.isfinite(v))
    if listed:
        low, high = listed[0], listed[-1]
    if spec.get("log") or (listed and 0 < 10 * low <= high):
        panel.set_xscale("log")
        if 0 < low < high:
            margin = (high / low) ** 0.07
            panel.set_xlim(low / margin, high * margin)
        style.logarithmic(panel.xaxis)
    elif spec.get("log_below_one") and low < high < 1:
        panel.set_xscale("function", functions=(lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)))
        first, last = -np.log1p(-low), -np.log1p(-high)
        margin = (last - first) * 0.07
        panel.set_xlim(-np.expm1(margin - first), -np.expm1(-margin - last))
        ticks = [x for x in (0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999) if low <= x <= high]
        panel.set_xticks(ticks, [f"{x:g}" for x in ticks])
    elif low < high:
        margin = (high - low) * 0.07
        panel.set_xlim(low - margin, high + margin)
    if 1 < len(listed) <= MOST_TICKS:
        panel.set_xticks(listed, [f"{value:g}" for value in listed])
        panel.minorticks_off()


def _panel(
    panel: Axes, trials: pd.DataFrame, values: pd.Series, looks: dict[str, style.Look]
) -> None:
    panel.axhspan(-1.06, 0, color=style.SOLVED, alpha=0.08, linewidth=0)
    panel.axhline(0, color=style.MUTED, linewidth=0.8)
    panel.axhline(1, color=style.MUTED, linewidth=0.8, linestyle=":")
    groups = list(trials.groupby("architecture", sort=False))
    for (name, own), shift in zip(groups, _apart(len(groups)), strict=True):
        look = looks[str(name)]
        beside = panel.transData + ScaledTranslation(shift, 0, panel.figure.dpi_scale_trans)
        height = own["score"].clip(-1, CEILING)
        off = own["outcome"] == "diverged"
        kinds: list[tuple[Any, dict[str, Any]]] = [
            (own["solved"], {"marker": look.marker, "facecolors": look.color}),
            (~own["solved"] & ~off, {"marker": look.marker, "facecolors": "white"}),
        ]
        for rows, kind in kinds:
            if not rows.any():  # matplotlib's layout cannot measure a scatter of nothing
                continue
            panel.scatter(
                values[own.index][rows],
                height[rows],
                s=26,
                edgecolors=look.color,
                linewidths=1.2,
                zorder=3,
                transform=beside,
                **kind,
            )
        crosses = values[own.index][off]
        if crosses.empty:
            continue
        panel.scatter(
            crosses,
            np.full(len(crosses), DIVERGED),
            s=30,
            marker="x",
            color=look.color,
            zorder=3,
            transform=beside,
        )
    panel.set_ylim(-1.06, DIVERGED + 0.12)
    panel.set_yticks([-1, -0.5, 0, 0.5, 1, DIVERGED], ["-1", "-0.5", "0", "0.5", "1", "diverged"])
