"""Validation loss, and the task's metric, against updates."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.data.runs import Results
from analysis.data.tasks import Task
from analysis.figures import Drawing, Missing, figure, style

OUT_OF_SIGHT = 1000  # times below the lowest loss reached


@figure("learning_curves", "Learning curves of the best configurations", order=10)
def learning_curves(results: Results) -> Drawing:
    """One panel a task and measure: the median over an arm's runs thick, every run thin."""
    curves = results.shown(results.curves)
    curves = curves[np.isfinite(curves["value"])]
    present = set(zip(curves["task"], curves["key"], strict=True))
    rows = [
        [
            (task, key)
            for key in ("validation/loss", f"validation/{task.metric}")
            if (task.key, key) in present
        ]
        for task in results.tasks.values()
    ]
    rows = [row for row in rows if row]
    if not rows:
        raise Missing("No confirmation and no chosen trial has a validation curve yet.")
    looks = style.looks(results.architectures)
    runs = pd.concat([results.confirmations, results.trials]).set_index("run_id")
    drawn, axes = style.rows([len(row) for row in rows])
    used: list[pd.DataFrame] = []
    for panel, (task, key) in zip(axes, (cell for row in rows for cell in row), strict=True):
        part = curves[(curves["task"] == task.key) & (curves["key"] == key)]
        used.append(part)
        for name, group in part.groupby("architecture", sort=False):
            _arm(panel, group, looks[str(name)], runs)
        _levels(panel, task, key, float(part["value"].min()))
        panel.set_title(style.plain(task.key))
        panel.set_xlabel("updates")
        panel.set_xlim(left=0)
    shown = pd.concat(used)
    names = [name for name in results.architectures if (shown["architecture"] == name).any()]
    style.legend_below(drawn, [looks[name].line(name) for name in names])
    return Drawing(
        drawn,
        _caption(shown, results),
        sorted(set(shown["key"])),
        shown["run_id"],
    )


def _arm(panel: Axes, group: pd.DataFrame, look: style.Look, runs: pd.DataFrame) -> None:
    table = group.pivot_table(index="step", columns="run_id", values="value", aggfunc="last")
    for run_id in table:
        line = table[run_id].dropna()
        panel.plot(line.index, line, color=look.color, linestyle="-", linewidth=0.8, alpha=0.45)
        outcome = runs.loc[run_id, "outcome"]
        if outcome in ("solved", "diverged"):
            panel.plot(
                line.index[-1:],
                line.iloc[-1:],
                marker="o" if outcome == "solved" else "x",
                color=look.color,
                markersize=4.5,
                zorder=4,
                clip_on=False,
            )
    # A solved run stops; it stays where it was. A diverged one is worse than all that go on.
    loss = str(group["key"].iloc[0]) == "validation/loss"
    # Runs were recorded at different updates: between two of its points a run is a straight line.
    held = table.interpolate(method="index", limit_area="inside").ffill()
    for run_id in table:
        if runs.loc[run_id, "outcome"] == "diverged":
            after = table.index > table[run_id].last_valid_index()
            held.loc[after, run_id] = math.inf if loss else -math.inf
    median = held.median(axis=1)
    median = median[np.isfinite(median)]
    panel.plot(
        median.index, median, color=look.color, linestyle=look.dashes, linewidth=2.2, zorder=3
    )


def _levels(panel: Axes, task: Task, key: str, lowest: float) -> None:
    if key == "validation/loss":
        marks = {"chance": task.chance_loss, **task.plateaus, "solved below": task.solved_loss}
        panel.set_yscale("log")
        panel.set_ylabel(f"validation loss,\n{style.plain(task.loss, 120)}")
        # One so far below all curves, meant never to be met, would press them into a single line.
        far = max(lowest, 0) / OUT_OF_SIGHT
        style.levels(panel, {k: v for k, v in marks.items() if v is not None and v > far})
        style.logarithmic(panel.yaxis)
    else:
        marks = {"chance": task.chance_metric, "solved from": task.solved_metric}
        panel.set_ylabel(f"validation {style.plain(str(task.metric), 60)}")
        style.levels(panel, {k: v for k, v in marks.items() if v is not None})


def _caption(shown: pd.DataFrame, results: Results) -> str:
    counts = shown.groupby("arm")["run_id"].nunique()
    trial_only = set(shown.loc[shown["role"] == "trial", "arm"])
    several = (
        f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    )
    text = f"""Each thin line is one run with an arm's best configuration ({several} an arm), the
        thick one their median. A dot ends a run that met its task's criterion and stopped there; for
        the median its last value is held. A cross ends a run that diverged; from there it counts as
        worse than every other. Lower loss is better. Chance is the loss of the best prediction
        that ignores the input; other dotted lines are levels that partial solutions reach, the
        dashed line is the criterion."""
    if trial_only:
        text += f""" For {len(trial_only)} of {counts.size} arms there is no confirmation yet: their
        line is the chosen trial itself, which was picked for being the best and so flatters."""
    return text
