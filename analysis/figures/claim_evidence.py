"""The runs that a claim is judged by, every confirmation a dot.

Not one of the report's registered figures: it is drawn for a claim, which may rest on several studies.
"""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.claims.claim import Claim, Studies
from analysis.data.runs import Results
from analysis.figures import Missing, style
from analysis.findings.summary import CONFIRMED, times_to_solve

_NAMES = {
    "steps_to_solve": "updates to solve",
    "test_loss": "test loss",
    "test_metric": "test accuracy",
    "half_life_init": "half-life of the gradient before training, steps",
    "log10_ratio_at_lag_init": "log₁₀ of the gradient left at the task's lag, before training",
    "trials": "learning rate",
}
_LOGARITHMIC = ("steps_to_solve", "test_loss", "half_life_init", "trials")
_LIFT = 0.26  # rows by which the dots of a row are spread


def claim_evidence(claim: Claim, studies: Studies) -> Figure:
    """A panel a study and task, a row an arm. Raises Missing where there is nothing to draw."""
    parts = [
        (studies[name], task)
        for name in claim.studies
        if name in studies
        for task in studies[name].tasks
    ]
    parts = [(results, task) for results, task in parts if len(_runs(claim, results, task))]
    if not parts:
        raise Missing("None of the runs that the claim is judged by has ended yet.")
    most = max(len(_arms(results, task)) for results, task in parts)
    drawn, axes = style.panels(len(parts), height=0.75 + 0.26 * most, extra=0.35)
    for panel, (results, task) in zip(axes, parts, strict=True):
        _panel(panel, claim, results, task)
    if claim.measure in ("steps_to_solve", "trials"):
        style.legend_below(drawn, [_dot("solved", filled=True), _dot("not solved", filled=False)])
    return drawn


def caption(claim: Claim) -> str:
    """How to read the figure, in a sentence or two."""
    if claim.measure == "trials":
        return "Every trial of the search at its learning rate, filled where it solved the task."
    what = _NAMES[claim.measure]
    ends = (
        " Open dots did not solve the task and stand at the updates they had; at the right, how many did."
        if claim.measure == "steps_to_solve"
        else ""
    )
    return f"Every confirmation of each arm: {what}.{ends}"


def _runs(claim: Claim, results: Results, task: str) -> pd.DataFrame:
    table = results.trials if claim.measure == "trials" else results.confirmations
    return table[(table["task"] == task) & table["outcome"].isin(CONFIRMED)]


def _arms(results: Results, task: str) -> list[str]:
    arms = results.arms
    return list(dict.fromkeys(arms.loc[arms["task"] == task, "architecture"]))


def _values(claim: Claim, own: pd.DataFrame) -> list[float]:
    if claim.measure == "steps_to_solve":
        return [float(value) for value in times_to_solve(own)[0]]
    column = "param.train.lr" if claim.measure == "trials" else claim.measure
    return [float(value) for value in own[column]]


def _panel(panel: Axes, claim: Claim, results: Results, task: str) -> None:
    runs, arms = _runs(claim, results, task), _arms(results, task)
    for row, name in enumerate(arms):
        own = runs[runs["architecture"] == name]
        for i, (value, solved) in enumerate(zip(_values(claim, own), own["solved"], strict=True)):
            if not math.isfinite(value):
                continue
            filled = bool(solved) or claim.measure not in ("steps_to_solve", "trials")
            lift = _LIFT * (2 * (i * 0.618 % 1) - 1)  # spread evenly, the same at every drawing
            panel.plot([value], [row + lift], **_marker(filled=filled))
        if claim.measure in ("steps_to_solve", "trials"):
            panel.annotate(
                f"{int(own['solved'].sum())} of {len(own)}",
                xy=(1, row),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.FONT - 1,
                color=style.MUTED,
                annotation_clip=False,
            )
    panel.set_yticks(range(len(arms)), [style.plain(name, 24) for name in arms])
    panel.set_ylim(len(arms) - 0.45, -0.55)
    panel.tick_params(axis="y", length=0)
    if claim.measure in _LOGARITHMIC:
        panel.set_xscale("log")
        panel.margins(x=0.12)
        style.logarithmic(panel.xaxis)
    panel.set_xlabel(_NAMES[claim.measure])
    many = len(claim.studies) > 1
    panel.set_title(style.plain(f"{results.study}: {task}" if many else task, 44))


def _marker(*, filled: bool) -> dict[str, Any]:
    color = style.SOLVED if filled else style.MUTED
    return {
        "marker": "o",
        "markersize": 4.5,
        "markerfacecolor": color if filled else "white",
        "markeredgecolor": color,
        "linestyle": "none",
        "alpha": 0.85,
        "zorder": 3,
        "clip_on": False,
    }


def _dot(label: str, *, filled: bool) -> Line2D:
    return Line2D([], [], label=label, **_marker(filled=filled))
