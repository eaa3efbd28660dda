"""Gradient flow before training against what the trial reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.data.runs import Results
from analysis.data.tasks import Task
from analysis.data.wording import counted, short, whole
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.links import (
    ALL,
    QUANTITIES,
    WITHIN,
    Quantity,
    ended,
    finding,
    links,
    reached,
    with_interval,
)

PANELS = 3  # a row; the table has the other quantities too
GAP = 0.09  # between those that solved, those that did not and those that diverged
BAND = 0.5  # height of the unsolved, where that of the solved is 1
AXES = {
    "log_slope_init": "slope of the log gradient norm, a step of lag",
    "largest_exponent_init": "λ₁, a step (ρ: of |λ₁|)",
    "step_log_condition_init": "ln of a step's condition number",
    "step_log_rms_init": "ln of a step's RMS singular value (ρ: of its size)",
    "log10_ratio_at_lag_init": "log₁₀ of the gradient left at the lag",
}


@dataclass(frozen=True)
class Heights:
    """Where a task's trials stand: the best at 0, worse ones lower; ticks with their words."""

    places: pd.Series
    ticks: Mapping[float, str]
    edges: Sequence[float]
    bottom: float


@figure(
    "initial_flow_and_outcome",
    "Gradient flow before training, and what came of it",
    order=40,
    chapter="Gradient flow",
)
def initial_flow_and_outcome(results: Results) -> Drawing:
    """A row a task, a panel a quantity; a point every trial of the search that ended."""
    every = {task: ended(results, task) for task in results.tasks}
    every = {task: runs for task, runs in every.items() if len(runs)}
    if not every:
        raise Missing("No trial of the search has ended, whose start and end this would compare.")
    table = links(results)
    shown = {task: _shown(table, task) for task in every}
    shown = {task: quantities for task, quantities in shown.items() if quantities}
    if not shown:
        raise Missing(_nothing(table))
    looks = style.looks(results.architectures)
    drawn, axes = style.rows([len(own) for own in shown.values()], 2.9)
    run_ids: list[str] = []
    for task, quantities in shown.items():
        panels, axes = axes[: len(quantities)], axes[len(quantities) :]
        runs = every[task]
        heights = _heights(runs, results.tasks[task])
        for panel, quantity in zip(panels, quantities, strict=True):
            own = runs[runs[quantity.column].notna() & heights.places.notna()]
            run_ids += list(own["run_id"])
            _points(panel, own, quantity, heights.places, looks)
            _frame(panel, heights, labelled=panel is panels[0])
            _say(panel, table[(table["task"] == task) & (table["quantity"] == quantity.column)])
        panels[0].set_title(style.plain(task, 30), pad=29)
        panels[0].set_ylabel("updates to solve, else loss; better ↑")
    style.legend_below(drawn, _legend(results, every, looks))
    metrics = {q.column: q.metric for own in shown.values() for q in own}
    return Drawing(
        drawn,
        _caption(results, table, every, list(shown)),
        [*metrics.values(), "score", "tag outcome"],
        run_ids,
    )


def _shown(table: pd.DataFrame, task: str) -> list[Quantity]:
    """The first quantities of which there is a correlation over all trials."""
    rho = table[(table["task"] == task) & (table["scope"] == ALL)].set_index("quantity")["rho"]
    return [q for q in QUANTITIES if not np.isnan(rho.get(q.column, np.nan))][:PANELS]


def _nothing(table: pd.DataFrame) -> str:
    pooled = table[table["scope"] == ALL]
    if not (pooled["n"] > 0).any():
        return "No trial of the search has a measured gradient flow before its training."
    reasons = pooled.loc[pooled["n"] > 0, "refusal"].drop_duplicates()
    return f"Of the trials that have ended: {'; '.join(reasons)}."


def _heights(runs: pd.DataFrame, task: Task) -> Heights:
    """Solved from 0 down to 1 by updates; then the unsolved in the order of their loss; then diverged."""
    places = pd.Series(np.nan, index=runs.index)
    ticks: dict[float, str] = {}
    edges: list[float] = []
    order = -reached(runs)
    solved, diverged = runs["outcome"] == "solved", runs["outcome"] == "diverged"
    left = runs["outcome"].isin(("budget", "pruned"))
    bottom = 0.0
    if solved.any():
        updates = runs.loc[solved, "steps_to_solve"].fillna(runs["steps"])
        most = max(float(updates.max()), 1.0)
        places[solved] = updates / most
        values = [v for v in MaxNLocator(4).tick_values(0, most) if 0 <= v <= most]
        ticks |= {v / most: f"{whole(v)}{' updates' * bool(v == 0)}" for v in values}
        bottom = 1.0
    if left.any():
        start = bottom + GAP if bottom else 0.0
        edges += [bottom + GAP / 2] if bottom else []
        rank = order[left].rank(method="average")
        at = start + BAND * (rank - 0.5) / len(rank)
        places[left] = at
        ticks |= _losses(runs[left], at, task)
        bottom = start + BAND
    if diverged.any():
        edges += [bottom + GAP / 2] if bottom else []
        bottom = bottom + 1.6 * GAP if bottom else 0.0
        places[diverged] = bottom
        ticks[bottom] = "diverged"
    return Heights(places, ticks, edges, bottom)


def _losses(runs: pd.DataFrame, at: pd.Series, task: Task) -> dict[float, str]:
    """The lowest and the highest loss of those that did not solve, over chance where that is known."""
    losses = runs["validation_loss"] / (task.chance_loss or 1.0)
    ends = [at.idxmin(), at.idxmax()] if len(at) > 2 else [at.idxmin()]
    return {float(at[i]): f"loss {short(float(losses[i]), 2)}" for i in ends}


def _points(
    panel: Axes,
    runs: pd.DataFrame,
    quantity: Quantity,
    places: pd.Series,
    looks: Mapping[str, style.Look],
) -> None:
    values = runs[quantity.column]
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 1.0)
    if quantity.column != "step_log_condition_init":
        low, high = min(low, 0.0), max(high, 0.0)
        panel.axvline(0, color=style.MUTED, linewidth=1.0, linestyle="--", zorder=1)
    margin = 0.07 * (high - low) or 0.1
    panel.set_xlim(low - margin, high + margin)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    at = values.clip(low - 0.6 * margin, high + 0.6 * margin)
    shape = np.where(values == -np.inf, "<", np.where(values == np.inf, ">", ""))
    for (name, hollow, beyond), own in runs.groupby(
        ["architecture", runs["outcome"] == "pruned", shape], sort=False
    ):
        look = looks[name]
        panel.plot(
            at[own.index],
            places[own.index],
            beyond or look.marker,
            color=look.color,
            markersize=4.5,
            markerfacecolor="white" if hollow else look.color,
            alpha=0.8,  # many trials stand at nearly the same place
            zorder=3,
        )
    panel.set_xlabel(AXES[quantity.column])


def _frame(panel: Axes, heights: Heights, *, labelled: bool) -> None:
    panel.set_ylim(heights.bottom + GAP, -GAP)
    panel.set_yticks(list(heights.ticks), list(heights.ticks.values()))
    panel.tick_params(axis="y", labelleft=labelled)
    for edge in heights.edges:
        panel.axhline(edge, color=style.MUTED, linewidth=0.8, zorder=1)


def _say(panel: Axes, own: pd.DataFrame) -> None:
    """The correlations, above the panel; paler where the interval includes 0."""
    for line, (scope, words) in enumerate(((WITHIN, "in arms"), (ALL, "ρ"))):
        row = next(own[own["scope"] == scope].itertuples())
        panel.annotate(
            f"{words} {'–' if row.refusal else with_interval(row)}",
            xy=(0, 1),
            xycoords="axes fraction",
            xytext=(0, 4 + 12 * line),
            textcoords="offset points",
            va="bottom",
            fontsize=style.FONT - 0.5,
            color=style.INK if row.low > 0 or row.high < 0 else style.MUTED,
        )


def _legend(
    results: Results, every: Mapping[str, pd.DataFrame], looks: Mapping[str, style.Look]
) -> list[Line2D]:
    runs = pd.concat(every.values())
    names = [name for name in results.architectures if (runs["architecture"] == name).any()]
    handles = [looks[n].line(n, marker=looks[n].marker, linestyle="none") for n in names]
    if (runs["outcome"] == "pruned").any():
        handles.append(
            Line2D([], [], label="pruned", ls="none", marker="o", mfc="white", color=style.MUTED)
        )
    return handles


def _caption(
    results: Results, table: pd.DataFrame, every: Mapping[str, pd.DataFrame], shown: Sequence[str]
) -> str:
    runs = pd.concat(every.values())
    text = """A point is a trial of the search, whatever came of it. Across: a number of the network before
        training. The slope is that of the figure "Gradient norm against lag", and orders as the half-life
        does; at 0 the gradient does not decay. λ₁ is the largest Lyapunov exponent. Upward is better:
        solved, with fewer updates; below the line not solved, in the order of the lowest validation loss,
        as a multiple of chance; at the bottom diverged, all alike. ρ is Spearman's rank correlation with
        its 95 % interval (Bonett & Wright, 2000): above 0 where a larger number went with a better end.
        Of λ₁ its distance from 0 is ranked, so that below 0 says: the nearer to 0 the better. In arms:
        ranked inside each arm, which leaves out what differs from arm to arm. The intervals are for other
        trials of these arms, not for other arms; they take trials for independent, which those are not
        quite that a sampler led. tables/links.csv has every correlation, that of the arms' medians too."""
    if (runs["outcome"] == "pruned").any():
        text += """ A pruned trial stands by its loss until it was stopped; it might have come further."""
    drawn = table[table["task"].isin(shown) & (table["scope"] == ALL) & table["rho"].notna()]
    left = int(drawn.groupby("task")["missing"].max().sum())
    if left:
        text += f""" Left out, of the panel that lacks most: {counted(left, "trial")} that failed or without
            the number, as where a gradient was not finite."""
    return text + "".join(f" {style.plain(task, 60)}: {_told(table, task)}" for task in shown)


def _told(table: pd.DataFrame, task: str) -> str:
    known = table[(table["task"] == task) & table["rho"].notna()]
    if said := finding(known):
        return said[0].lower() + said[1:]
    pooled = known[known["scope"] == ALL]
    wide = int(((pooled["low"] < 0) & (pooled["high"] > 0)).sum())
    if wide == len(pooled):
        return "over all trials every interval includes 0."
    looks = counted(len(pooled), "quantity", "quantities")
    return f"nothing is settled after Holm's correction for {looks}."
