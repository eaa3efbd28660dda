"""Expected best score against the number of trials one can afford."""

import numpy as np

from analysis.data.runs import ENDED, Results
from analysis.figures import Drawing, Missing, figure, style
from analysis.statistics.best_of import expected_best as expected_best_of

MINIMUM_TRIALS = 4
CEILING = 2  # of a score; what lies above it is as good as nothing
_MEANINGS = {
    "random": """The trials were drawn independently, so this estimates without bias what a random search
        of n trials finds (Tang et al. 2020).""",
    "sobol": """The trials were spread evenly over what is searched and not drawn independently, so this
        describes these N: a search of n that is spread as evenly usually finds more.""",
}


@figure("expected_best", "What a smaller search would have found", order=80)
def expected_best(results: Results) -> Drawing:
    """Expected lowest score of n of the trials, n up to the number that was run."""
    sampler = results.space.get("sampler")
    if sampler not in _MEANINGS:
        raise Missing(
            "The expected best of n trials is defined where every trial is drawn without regard to "
            f"the scores before it; here the sampler is {sampler or 'unknown'}."
        )
    if (pruner := results.space.get("pruner", "none")) != "none":
        raise Missing(
            "The expected best of n trials needs every trial's full score; here some were stopped "
            f"early (pruner {pruner})."
        )
    trials = results.trials[results.trials["outcome"].isin(ENDED)]
    sizes = trials.groupby("arm").size()
    trials = trials[trials["arm"].isin(sizes[sizes >= MINIMUM_TRIALS].index)]
    if trials.empty:
        raise Missing(f"No arm has {MINIMUM_TRIALS} trials that have ended.")
    tasks = [key for key in results.tasks if (trials["task"] == key).any()]
    looks = style.looks(results.architectures)
    drawn, axes = style.panels(len(tasks), height=2.5, sharey=True)
    for panel, task in zip(axes, tasks, strict=True):
        part = trials[trials["task"] == task]
        for name in results.architectures:
            # A trial that failed has found nothing, as one that diverged.
            scores = part.loc[part["architecture"] == name, "score"].fillna(CEILING)
            if scores.empty:
                continue
            values = expected_best_of(scores.clip(upper=CEILING))
            look, half = looks[name], (len(values) + 1) // 2
            for shown, alpha in ((slice(half), 1.0), (slice(half - 1, None), 0.4)):
                panel.plot(
                    np.arange(1, len(values) + 1)[shown],
                    values[shown],
                    color=look.color,
                    alpha=alpha,
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
        panel.set_xlabel("trials")
    for panel in axes[::2]:
        panel.set_ylabel("expected best score")
    present = [name for name in results.architectures if (trials["architecture"] == name).any()]
    style.legend_below(
        drawn,
        [looks[n].line(n, marker=looks[n].marker, markersize=4.5) for n in present],
    )
    return Drawing(
        drawn,
        f"""Lowest score of n of an arm's trials, the mean over every choice of n among the N that were
        run. {_MEANINGS[sampler]} Pale beyond half of N: there any two choices share trials, and at N
        the curve is the one search that was run. Scores above {CEILING} count as {CEILING}, diverged and
        failed trials too. Below 0 (shaded) the best trial solves its task. Curves that cross mean that
        the ranking depends on the tuning budget.""",
        ["score"],
        trials["run_id"],
    )
