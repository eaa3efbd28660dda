"""Test loss of the best configurations against the length of the task."""

import numpy as np

from analysis.data.runs import Results
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.reach import families
from analysis.findings.summary import CONFIRMED
from analysis.statistics.few_runs import iqm, wilson_interval


@figure("performance_against_length", "Performance against length", order=20)
def performance_against_length(results: Results) -> Drawing:
    """Per kind of task: test loss over chance, and the fraction solved, against length."""
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED)]
    confirmed = set(runs["task"])
    compared = families(t for t in results.tasks.values() if t.chance_loss and t.key in confirmed)
    if not compared:
        if runs.empty:
            raise Missing("There are no confirmation runs, of which this would show the test loss.")
        lengths = ", ".join(
            f"{task.key} {task.length:g} steps"
            for task in results.tasks.values()
            if task.length is not None
        )
        raise Missing(
            f"This study has one length of each task ({lengths}), so it says nothing about how "
            "performance falls with length. Compare several lengths to draw this."
        )
    looks = style.looks(results.architectures)
    drawn, axes = style.panels(2 * len(compared), height=2.6)
    used = []
    for row, (family, tasks) in enumerate(compared.items()):
        ticks = sorted({task.length for task in tasks if task.length is not None})
        left, right = axes[2 * row : 2 * row + 2]
        # As a share of the axis, however far the lengths lie apart.
        apart = style.jitter(len(results.architectures), 0.03 * np.log(ticks[-1] / ticks[0]))
        for index, name in enumerate(results.architectures):
            look = looks[name]
            points = []
            for task in tasks:
                own = runs[(runs["task"] == task.key) & (runs["architecture"] == name)]
                if own.empty:
                    continue
                used.append(own)
                assert task.length is not None
                assert task.chance_loss is not None
                x = task.length * np.exp(apart[index])
                losses = own["test_loss"].fillna(np.inf) / task.chance_loss
                solved = int(own["solved"].sum())
                points.append((x, iqm(losses), solved / len(own)))
                left.plot([x] * len(own), losses, "_", color=look.color, markersize=7)
                interval = wilson_interval(solved, len(own))
                right.plot([x, x], [interval.low, interval.high], color=look.color, linewidth=1.2)
            style_line = {
                "color": look.color,
                "linestyle": look.dashes,
                "linewidth": 2.0,
                "marker": look.marker,
                "markersize": 5,
            }
            if points:
                xs, middle, fraction = zip(*points, strict=True)
                left.plot(xs, middle, **style_line)
                right.plot(xs, fraction, **style_line)
        left.set_yscale("log")
        criteria = {t.solved_loss / t.chance_loss for t in tasks if t.solved_loss and t.chance_loss}
        solved_below = {"solved below": criteria.pop()} if len(criteria) == 1 else {}
        style.levels(left, {"chance =": 1.0} | solved_below)
        style.logarithmic(left.yaxis)
        left.set_ylabel("test loss / chance")
        right.set_ylabel("fraction solved")
        right.set_ylim(-0.03, 1.03)
        for panel in (left, right):
            panel.set_title(style.plain(family, 34))
            panel.set_xlabel("length, steps")
            panel.set_xscale("log")
            panel.set_xticks(ticks, [f"{length:g}" for length in ticks])
            panel.minorticks_off()
    present = [name for name in results.architectures if (runs["architecture"] == name).any()]
    style.legend_below(
        drawn, [looks[n].line(n, marker=looks[n].marker, markersize=5) for n in present]
    )
    return Drawing(
        drawn,
        """Left: test loss of an arm's confirmation runs over the loss of chance, their interquartile mean
        as a line and every run as a dash; 1 is no better than ignoring the input. A run stops once
        it has solved its task, so below the criterion lower is not better. Right: the fraction that
        met the criterion, with 95 % Wilson intervals. Each length was tuned for itself. Points of
        one length are set slightly apart.""",
        ["test/loss", "tag outcome"],
        [run_id for own in used for run_id in own["run_id"]],
    )
