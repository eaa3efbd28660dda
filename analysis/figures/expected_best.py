"""Expected best score against the number of trials one can afford."""

import numpy as np

from analysis import style
from analysis.figures import Drawing, Missing, figure
from analysis.runs import Results
from analysis.statistics import expected_best as expected_best_of

MINIMUM_TRIALS = 4


@figure("expected_best", "What a smaller search would have found", order=80)
def expected_best(results: Results) -> Drawing:
    """Expected lowest score of n random trials, n up to the number that was run."""
    sampler = results.space.get("sampler")
    if sampler != "random":
        raise Missing(
            "The expected best of n trials is defined for independent trials (random search); "
            f"here the sampler is {sampler or 'unknown'}."
        )
    if (pruner := results.space.get("pruner", "none")) != "none":
        raise Missing(
            "The expected best of n trials needs every trial's full score; here some were stopped "
            f"early (pruner {pruner})."
        )
    trials = results.trials[results.trials["score"].notna()]
    sizes = trials.groupby("arm").size()
    trials = trials[trials["arm"].isin(sizes[sizes >= MINIMUM_TRIALS].index)]
    if trials.empty:
        raise Missing(f"No arm has {MINIMUM_TRIALS} trials with a score.")
    tasks = [key for key in results.tasks if (trials["task"] == key).any()]
    looks = style.looks(results.architectures)
    drawn, axes = style.panels(len(tasks), height=2.5, sharey=True)
    for panel, task in zip(axes, tasks, strict=True):
        part = trials[trials["task"] == task]
        for name in results.architectures:
            scores = part.loc[part["architecture"] == name, "score"].clip(upper=2)
            if scores.empty:
                continue
            values = expected_best_of(scores)
            look = looks[name]
            panel.plot(
                np.arange(1, len(values) + 1),
                values,
                color=look.color,
                linestyle=look.dashes,
                linewidth=2.0,
                marker=look.marker,
                markersize=4.5,
                markevery=max(1, len(values) // 8),
            )
        panel.axhspan(-1, 0, color=style.SOLVED, alpha=0.08, linewidth=0)
        panel.axhline(0, color=style.MUTED, linewidth=0.8)
        panel.set_xlim(left=0.6)
        style.whole_numbers(panel)
        panel.set_title(style.plain(task))
        panel.set_xlabel("trials of random search")
    for panel in axes[::2]:
        panel.set_ylabel("expected best score")
    present = [name for name in results.architectures if (trials["architecture"] == name).any()]
    style.legend_below(
        drawn,
        [looks[n].line(n, marker=looks[n].marker, markersize=4.5) for n in present],
    )
    return Drawing(
        drawn,
        """Expected lowest score if only n of the trials had been run (Dodge et al. 2019, exact under
        the empirical distribution of the arm's scores; scores above 2 count as 2). Below 0 (shaded)
        the best trial solves its task. Curves that cross mean that the ranking depends on the tuning
        budget. It describes these trials; near the full number it rests on very few of them.""",
        ["score"],
        trials["run_id"],
    )
