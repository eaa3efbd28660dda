"""From how far back what the weights learn by comes."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from analysis.data.probe_files import ParameterGradients
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import whole
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.before_and_after import STAGES, drawn, lines
from analysis.figures.small_multiples import by_arm, named

DECADES = 8  # below the whole, that are shown


@figure(
    "weight_gradient", "Where the weights' gradient comes from", order=33, chapter="Gradient flow"
)
def weight_gradient(results: Results) -> Drawing:
    """A row a task, before and after training: the share of each lag, a line an arm."""
    found = results.probed.of(ParameterGradients, "init", "final")
    found = [f for f in found if f.finding.norm_shares is not None]
    if not found:
        raise Missing(
            "No confirmation and no chosen trial has its weights' gradient by lag "
            "(probe parameter_gradients)."
        )
    task_lags = {f.task: f.finding.task_lag for f in found}

    def finish(panel: Axes, task: str) -> None:
        panel.set_ylim(-DECADES - 0.4, 0.4)
        style.decades(panel.yaxis)
        style.whole_numbers(panel)
        panel.axvline(task_lags[task], color=style.MUTED, linewidth=1.0, linestyle=":", zorder=1)

    figure = drawn(
        results,
        lines(results, found, _shares),
        "lag, steps before the last",
        "share of the\nweights' gradient",
        finish,
    )
    return Drawing(
        figure,
        f"""The gradient of the recurrent layer's weights is a sum over the steps of the past: here is the
        norm of what the steps at each lag add to it, over the sum of all those norms, for the loss at the
        last step. Medians over an arm's runs; dotted is the task's shortest lag. Where the line falls steeply
        an update hears of the last steps alone: what happened further back has too small a share in it.
        {_shown(results, found)}""",
        ["file parameter_gradients.json"],
        [f.run_id for f in found],
    )


def _shares(finding: ParameterGradients) -> pd.Series:
    """log₁₀ of the share at each lag; below all that is shown where it is zero."""
    logs = [math.log10(s) if s > 0 else -2.0 * DECADES for s in finding.norm_shares or ()]
    return pd.Series(logs, finding.lags).clip(lower=-2.0 * DECADES)


def _shown(results: Results, found: Sequence[Found[ParameterGradients]]) -> str:
    """Within which lag half of it lies, the nearest and the furthest arm."""
    parts = []
    for when, words in (("before", "before training"), ("after", "after training")):
        halves = {}
        for arm, own in by_arm(results, found).items():
            known = [f.finding.half_lag for f in own if STAGES[f.stage] == when]
            values = pd.Series([lag for lag in known if lag is not None], dtype=float)
            if len(values):
                halves[arm] = float(values.median())
        if not halves:
            continue
        near, far = min(halves, key=lambda a: halves[a]), max(halves, key=lambda a: halves[a])
        text = f"{words} half of it lies within lag {whole(halves[near])} in {named(results, near)}"
        if halves[far] > halves[near]:
            text += f" and within lag {whole(halves[far])} in {named(results, far)}"
        parts.append(text)
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else ""
