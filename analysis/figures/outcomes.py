"""How the trials of the search ended."""

from typing import Any

from matplotlib.patches import Patch

from analysis.data.runs import Results
from analysis.figures import Drawing, Missing, figure, style


@figure("outcomes", "How the trials of the search ended", order=50)
def outcomes(results: Results) -> Drawing:
    """A stacked bar an arm, grouped by task."""
    trials = results.trials
    if trials.empty:
        raise Missing("No trial has been recorded yet.")
    tasks = [key for key in results.tasks if (trials["task"] == key).any()]
    arms = {task: [a for a in results.architectures if _is_arm(results, task, a)] for task in tasks}
    bars = max(len(names) for names in arms.values())
    drawn, axes = style.panels(len(tasks), height=0.6 + 0.27 * bars, extra=0.45, sharex=True)
    seen: dict[str, Patch] = {}
    for panel, task in zip(axes, tasks, strict=True):
        for row, name in enumerate(arms[task]):
            own = trials[(trials["task"] == task) & (trials["architecture"] == name)]
            left = 0
            for outcome, (color, hatch, label) in style.OUTCOMES.items():
                count = int((own["outcome"] == outcome).sum())
                if not count:
                    continue
                patch: dict[str, Any] = {
                    "facecolor": color,
                    "hatch": hatch,
                    "edgecolor": style.MUTED,
                }
                panel.barh(row, count, left=left, height=0.72, linewidth=0.7, **patch)
                panel.text(
                    left + count / 2,
                    row,
                    str(count),
                    ha="center",
                    va="center",
                    color="white" if outcome in ("solved", "failed") else style.INK,
                    fontsize=style.FONT - 0.5,
                    bbox=None
                    if not hatch
                    else {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.9},
                )
                left += count
                seen.setdefault(label, Patch(label=label, **patch))
        panel.set_yticks(range(len(arms[task])), [style.plain(a, 24) for a in arms[task]])
        panel.set_ylim(len(arms[task]) - 0.45, -0.55)
        panel.tick_params(axis="y", length=0)
        panel.tick_params(axis="x", labelbottom=True)
        panel.grid(visible=False, axis="y")
        style.whole_numbers(panel)
        panel.set_xlabel("trials")
        panel.set_title(style.plain(task))
    labels = [label for _, _, label in style.OUTCOMES.values() if label in seen]
    style.legend_below(drawn, [seen[label] for label in dict.fromkeys(labels)])
    return Drawing(
        drawn,
        """Number of trials of each arm by how they ended: met the task's criterion; used all their
        updates without it; stopped early by the pruner because others were ahead; diverged, that is
        a clipped gradient that was not finite or a loss beyond 10,000 times chance for 100 updates
        in a row; failed with an error. Confirmation runs are not in it.""",
        ["tag outcome"],
        trials["run_id"],
    )


def _is_arm(results: Results, task: str, architecture: str) -> bool:
    arms = results.arms
    return bool(((arms["task"] == task) & (arms["architecture"] == architecture)).any())
