"""Fraction solved against updates."""

import pandas as pd
from matplotlib.axes import Axes

from analysis.data.runs import Results
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.summary import CONFIRMED, times_to_solve
from analysis.statistics.few_runs import wilson_interval
from analysis.statistics.survival import kaplan_meier


@figure("time_to_solve", "How many had solved the task, and when", order=40)
def time_to_solve(results: Results) -> Drawing:
    """A staircase an arm; at the right its final fraction with the Wilson interval."""
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED)]
    if runs.empty:
        raise Missing("There are no confirmation runs, of which this would show the times.")
    looks = style.looks(results.architectures)
    tasks = [key for key in results.tasks if (runs["task"] == key).any()]
    drawn, axes = style.panels(len(tasks), height=2.5)
    for panel, task in zip(axes, tasks, strict=True):
        _panel(panel, runs[runs["task"] == task], looks, results.architectures)
        panel.set_title(style.plain(task))
    for panel in axes[::2]:
        panel.set_ylabel("fraction of runs that solved")
    present = [name for name in results.architectures if (runs["architecture"] == name).any()]
    style.legend_below(drawn, [looks[name].line(name) for name in present])
    return Drawing(
        drawn,
        """Kaplan-Meier estimate over the confirmation runs of the share that had met the task's
        criterion by then. Further left is faster, higher is more reliable. A run that ended unsolved
        or diverged counts as unsolved to the end of its budget. Points and bars at the right are the
        final fractions with their 95 % Wilson intervals: with few runs even "all solved" is
        compatible with a much lower rate. Lines that would lie on one another are set slightly apart.""",
        ["steps_to_solve", "steps", "tag outcome"],
        runs["run_id"],
    )


def _panel(
    panel: Axes, runs: pd.DataFrame, looks: dict[str, style.Look], architectures: list[str]
) -> None:
    budget = float(runs["budget"].max())
    if not budget > 0:
        budget = float(runs["steps"].max())
    present = [name for name in architectures if (runs["architecture"] == name).any()]
    apart = style.jitter(len(present), min(0.012, 0.08 / len(present)))
    for index, name in enumerate(present):
        own, look = runs[runs["architecture"] == name], looks[name]
        times, solved = times_to_solve(own)
        curve = kaplan_meier(times, solved)
        steps, fraction = [*curve.steps, budget], [*curve.fraction, curve.fraction[-1]]
        height = [value + apart[index] for value in fraction]
        panel.step(
            steps, height, where="post", color=look.color, linestyle=look.dashes, linewidth=2.0
        )
        interval = wilson_interval(int(solved.sum()), len(own))
        at = budget * (1.05 + 0.045 * index)
        share = float(solved.mean())
        panel.errorbar(
            [at],
            [share],
            yerr=[[max(share - interval.low, 0)], [max(interval.high - share, 0)]],
            color=look.color,
            marker=look.marker,
            markersize=5,
            linewidth=1.5,
            capsize=2,
        )
    panel.axvline(budget * 1.015, color=style.MUTED, linewidth=0.8)
    panel.set_xlim(0, budget * (1.07 + 0.045 * len(present)))
    panel.set_xticks([tick for tick in panel.get_xticks() if 0 <= tick <= budget])
    panel.set_ylim(-0.06, 1.06)
    panel.set_xlabel("updates")
    middle = budget * (1.05 + 0.0225 * (len(present) - 1))
    panel.text(middle, 1.1, "at the end", ha="center", color=style.MUTED, fontsize=style.FONT - 0.5)
