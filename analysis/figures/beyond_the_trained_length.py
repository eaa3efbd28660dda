"""Runs that solved their task, on longer sequences than they were trained on."""

import numpy as np

from analysis.data import columns
from analysis.data.runs import Results
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.summary import CONFIRMED
from analysis.statistics.few_runs import wilson_interval

FACTORS = {name: float(name.removeprefix("met_at_").removesuffix("T")) for name in columns.BEYOND}


@figure("beyond_the_trained_length", "Beyond the trained length", order=25)
def beyond_the_trained_length(results: Results) -> Drawing:
    """Per task: the share of an arm's confirmations that meet the criterion, against the length."""
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED)]
    measured = runs[list(FACTORS)].notna().any(axis=1)
    tasks = [key for key in results.tasks if (measured & (runs["task"] == key)).any()]
    if not tasks:
        raise Missing(
            "No confirmation run that solved its task was tested on longer sequences; a task with a "
            "length is, once a run has solved it."
        )
    looks = style.looks(results.architectures)
    drawn, axes = style.panels(len(tasks), height=2.5)
    lengths = [1.0, *FACTORS.values()]
    shown = []
    for panel, task in zip(axes, tasks, strict=True):
        own = runs[runs["task"] == task]
        present = [n for n in results.architectures if (own["architecture"] == n).any()]
        apart = style.jitter(len(present), 0.06)
        for index, name in enumerate(present):
            mine = own[own["architecture"] == name]
            shown.append(mine)
            met = [mine["solved"].sum(), *(mine[column].fillna(0).sum() for column in FACTORS)]
            x = [length * np.exp(apart[index]) for length in lengths]
            look = looks[name]
            panel.plot(
                x,
                [count / len(mine) for count in met],
                color=look.color,
                linestyle=look.dashes,
                marker=look.marker,
                markersize=5,
                linewidth=2.0,
            )
            for place, count in zip(x, met, strict=True):
                interval = wilson_interval(int(count), len(mine))
                panel.plot(
                    [place] * 2, [interval.low, interval.high], color=look.color, linewidth=1
                )
        panel.set_xscale("log")
        panel.set_xticks(lengths, [f"{length:g}" for length in lengths])
        panel.minorticks_off()
        panel.set_ylim(-0.06, 1.06)
        panel.set_xlabel("length over the trained one")
        panel.set_title(style.plain(task))
    for panel in axes[::2]:
        panel.set_ylabel("share of runs that meet it")
    names = {name for mine in shown for name in mine["architecture"]}
    style.legend_below(drawn, [looks[n].line(n) for n in results.architectures if n in names])
    return Drawing(
        drawn,
        """Each confirmation run that solved its task was tested, without further training, on 250
        sequences 1.5, 2, 4 and 10 times as long. The line is the share of all confirmation runs of an arm
        that meet the criterion there; at 1 it is the share that solved the task. A run that did not
        solve it counts as not meeting it. Bars are 95 % Wilson intervals. Higher is better, and flat means
        that what was learned does not depend on the length. Arms are set slightly apart.""",
        ["tag outcome", *(f"beyond/criterion_{name}" for name in FACTORS)],
        [run_id for mine in shown for run_id in mine["run_id"]],
    )
