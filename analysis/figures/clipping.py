"""What clipping did to the gradient."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.data.runs import Results
from analysis.data.tasks import number
from analysis.data.wording import counted, short
from analysis.figures import Drawing, Missing, figure, style

BEFORE, AFTER, COSINE = "train/grad_norm", "train/grad_norm_after", "train/grad_cosine"
TURNED = 0.9995  # a mean cosine below this reads as less than 1


@figure("clipping", "What clipping did", order=55)
def clipping(results: Results) -> Drawing:
    """A row an architecture; columns share of updates, norms and, where a rule turned it, cosine."""
    if not _is_varied(results.space):
        raise Missing("The rule that clips and its threshold are neither compared nor searched.")
    runs = _clipped(results)
    if runs.empty:
        raise Missing("No confirmation and no chosen trial has the norms of its gradient.")
    if not (runs["clip_rate"] > 0).any():
        raise Missing(f"Clipping changed no gradient in any of {counted(len(runs), 'run')}.")
    looks = style.looks(results.architectures)
    tasks = [key for key in results.tasks if (runs["task"] == key).any()]
    columns = 3 if (runs[COSINE] < TURNED).any() else 2
    sizes = [1.05 + 0.24 * runs.loc[runs["task"] == t, "architecture"].nunique() for t in tasks]
    drawn, axes = style.rows([columns] * len(tasks), sizes)
    for place, task in enumerate(tasks):
        panels = axes[columns * place : columns * (place + 1)]
        part = runs[runs["task"] == task]
        _row(panels, part, looks)
        panels[0].set_title(style.plain(task, 30))
        _settings(panels[-1], part, results)
    style.legend_below(drawn, style.points_legend())
    return Drawing(
        drawn,
        _caption(runs, results),
        ["clip_rate", BEFORE, AFTER] + [COSINE] * (columns == 3),
        runs["run_id"],
    )


def _is_varied(space: Mapping[str, Any]) -> bool:
    compared = [
        name
        for labels in space.get("compare", {}).values()
        for settings in labels.values()
        for name in settings
    ]
    return any(name.split(".")[0] == "clip" for name in [*compared, *space.get("search", {})])


def _clipped(results: Results) -> pd.DataFrame:
    """Confirmations and chosen trials with their median norms and mean cosine."""
    curves = results.curves.groupby(["key", "run_id"])["value"]
    found = {
        BEFORE: curves.median().get(BEFORE),
        AFTER: curves.median().get(AFTER),
        COSINE: curves.mean().get(COSINE),
    }
    runs = pd.concat([results.confirmations, results.trials[results.trials["chosen"]]])
    for key, values in found.items():
        runs[key] = np.nan if values is None else runs["run_id"].map(values)
    runs = runs[runs[BEFORE].notna() & runs[AFTER].notna() & runs["clip_rate"].notna()]
    norms = runs[[BEFORE, AFTER]]
    runs[[BEFORE, AFTER]] = norms.where(norms > 0)  # zero has no place on a logarithmic axis
    return runs.reset_index(drop=True)


def _names(runs: pd.DataFrame, architectures: Iterable[str]) -> list[str]:
    return [name for name in architectures if (runs["architecture"] == name).any()]


def _row(panels: list[Axes], runs: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    names = _names(runs, looks)
    share, norms, *cosine = panels
    for panel in panels:
        style.named_rows(panel, names, labelled=panel is share)
    norms.set_xscale("log")
    for row, name in enumerate(names):
        own, look = runs[runs["architecture"] == name], looks[name]
        style.points(share, row, 100 * own["clip_rate"], look)
        style.points(norms, row - 0.16, own[BEFORE], look, markerfacecolor="white")
        style.points(norms, row + 0.16, own[AFTER], look)
        for panel in cosine:
            style.points(panel, row, own[COSINE], look)
    share.set_xlim(-4, 104)
    share.set_xlabel("% of updates clipped")
    known = runs[[BEFORE, AFTER]].stack()
    if len(known):
        # At least two decades: what hardly differs shall look as if it hardly differed.
        middle = float(np.sqrt(known.min() * known.max()))
        norms.set_xlim(min(known.min() / 1.5, middle / 10), max(known.max() * 1.5, middle * 10))
    style.logarithmic(norms.xaxis)
    norms.set_xlabel("gradient norm\nbefore ○, after ●")
    for panel in cosine:
        panel.set_xlabel("cosine between\nthe two")
        low = float(runs[COSINE].min())
        panel.set_xlim(low - 0.06 * (1 - low), 1 + 0.06 * (1 - low))


def _settings(panel: Axes, runs: pd.DataFrame, results: Results) -> None:
    """In the margin at the right what the search chose for clipping."""
    searched = [f"param.{name}" for name in results.searched if name.split(".")[0] == "clip"]
    for row, name in enumerate(_names(runs, results.architectures)):
        own = runs[runs["architecture"] == name].iloc[0]
        chosen = [
            str(own[c])
            if c.endswith(".name")
            else f"{c.rpartition('.')[2]} {short(number(own[c]), 2)}"
            for c in sorted(searched, key=lambda c: not c.endswith(".name"))
            if own[c] != "none" or c.endswith(".name")
        ]
        panel.annotate(
            style.plain(", ".join(chosen), 24),
            xy=(1, row),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=style.MUTED,
            fontsize=style.FONT - 0.5,
        )


def _caption(runs: pd.DataFrame, results: Results) -> str:
    text = """Left: the share of updates in which clipping changed the gradient. Then the gradient's norm over
        all parameters, before and after clipping: of each run the median over its training, of means
        between two evaluations; every task has its own scale. Points are an arm's confirmations and its
        chosen trial."""
    if (runs[COSINE] < TURNED).any():
        text += """ Right: the cosine of the angle between the gradients before and after, a mean over
            the run. A rule that shrinks the whole gradient leaves it at 1; one that treats its
            entries or its parameters apart turns it, below 1."""
    if any(name.split(".")[0] == "clip" for name in results.searched):
        text += " In the margin: what the search chose."
    if (runs["clip_rule"] == "signal").any():
        text += """ The rule signal clips within the backward pass, where the gradient that would have
            been is never computed: both norms are of the one that results."""
    return text
