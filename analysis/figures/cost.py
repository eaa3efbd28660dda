"""What an arm achieves against what it costs: seconds, parameters, operations."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.data.runs import Results
from analysis.data.wording import listing
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.quality import with_quality
from analysis.statistics.pareto import front

LEAST = 10.0  # times its lower end that an axis reaches
MEASURES = {
    "seconds": "processor time of training, s",
    "parameters": "parameters",
    "operations": "floating-point operations, 10⁹",
}


@figure("cost", "What it costs", order=45)
def cost(results: Results) -> Drawing:
    """A panel a measure of cost, a point an architecture, and the line of those that none beats in both."""
    runs = _confirmed(results)
    if runs.empty:
        raise Missing(
            "No confirmation run has ended yet, so there is no quality to set against cost."
        )
    if runs["architecture"].nunique() < 2:
        raise Missing("One architecture alone has nothing to be cheaper than.")
    # An architecture counts by the tasks on which all of them were confirmed.
    by_task = runs.groupby("task")["architecture"].nunique()
    shared = by_task[by_task == runs["architecture"].nunique()].index
    if not len(shared):
        raise Missing("No task has confirmations of every architecture, to compare them on.")
    runs = runs[runs["task"].isin(shared)]
    table = _table(runs, results.architectures)
    measures = {name: label for name, label in MEASURES.items() if table[name].notna().all()}
    looks = style.looks(results.architectures)
    drawn, axes = style.panels(len(measures), columns=3, height=2.7)
    for panel, (name, label) in zip(axes, measures.items(), strict=True):
        _panel(panel, table, name, looks)
        panel.set_xlabel(label)
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel("quality, 0 chance to 1 solved")
    style.legend_below(drawn, [looks[name].point(name) for name in table.index])
    told = "; ".join(
        f"by {label.split(',')[0]}: {listing(_unbeaten(table, name))}"
        for name, label in measures.items()
    )
    tasks = "" if len(results.tasks) == 1 else f", the mean over {len(shared)} tasks"
    return Drawing(
        drawn,
        f"""Quality of an architecture's confirmations against their median cost{tasks}. A run that solved
        its task counts 1, another the share of the way from the loss of chance to 0. The grey line joins
        those that no other beats in both, {told}. Seconds and operations are of the updates that were
        used, so an arm that solves its task sooner is cheaper. Operations are those of matrix products,
        forward and back.""",
        [
            "tag outcome",
            "test/loss",
            "seconds_per_step",
            "parameters",
            "operations_per_update",
            "steps",
        ],
        runs["run_id"],
    )


def _confirmed(results: Results) -> pd.DataFrame:
    runs = with_quality(results)
    return runs.assign(
        seconds=runs["seconds_per_step"] * runs["steps"],
        operations=runs["operations_per_update"] * runs["steps"] / 1e9,
    )


def _table(runs: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """An architecture a row: its mean quality, and its median costs, added up over tasks."""
    each = runs.groupby(["architecture", "task"])
    costs = pd.DataFrame({name: each[name].median() for name in MEASURES})
    by_name = costs.groupby(level=0)
    costs = by_name.sum(min_count=1).assign(parameters=by_name["parameters"].median())
    quality = each["quality"].mean().groupby(level=0).mean()
    known = [name for name in order if name in quality.index]
    return costs.assign(quality=quality).loc[known]


def _unbeaten(table: pd.DataFrame, name: str) -> list[str]:
    return [table.index[i] for i in front(table[name].to_numpy(), table["quality"].to_numpy())]


def _panel(panel: Axes, table: pd.DataFrame, name: str, looks: dict[str, style.Look]) -> None:
    best = table.loc[_unbeaten(table, name)]
    panel.plot(best[name], best["quality"], color=style.MUTED, linewidth=1.0, zorder=1)
    for architecture, row in table.iterrows():
        look = looks[str(architecture)]
        panel.plot(
            [row[name]], [row["quality"]], look.marker, color=look.color, markersize=7, zorder=3
        )
    if (table[name] > 0).all():
        panel.set_xscale("log")
        low, high = float(table[name].min()), float(table[name].max())
        # What differs by a few hundredths shall look alike.
        around = max(1.5, math.sqrt(LEAST * low / high))
        panel.set_xlim(low / around, high * around)
        style.logarithmic(panel.xaxis)
    panel.set_ylim(-0.05, 1.05)
    panel.set_yticks(np.linspace(0, 1, 5))
