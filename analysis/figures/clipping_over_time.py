"""What clipping did to the gradient while the loss fell."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.data.runs import Results
from analysis.data.wording import listing
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.small_multiples import Arm, arms_of, named

LOSS, SHARE = "train/loss", "train/clipped_share"
BEFORE, AFTER, COSINE = "train/grad_norm", "train/grad_norm_after", "train/grad_cosine"
TURNED = 0.9995  # a cosine below this reads as less than 1
COLUMNS: Mapping[str, str] = {
    LOSS: "training loss",
    SHARE: "% of updates clipped",
    BEFORE: "gradient norm,\nbefore and after",
    COSINE: "cosine between\nthe two",
}


@figure("clipping_over_time", "Clipping over training", order=37, chapter="Gradient flow")
def clipping_over_time(results: Results) -> Drawing:
    """A row a task: loss, share of updates clipped, norms and, where a rule turned it, cosine."""
    curves = results.shown(results.curves)
    curves = curves[curves["key"].isin([*COLUMNS, AFTER]) & np.isfinite(curves["value"])]
    clipped = curves[curves["key"] == SHARE]
    if clipped.empty:
        raise Missing(
            "No confirmation and no chosen trial has the share of updates clipped over time."
        )
    if not (clipped["value"] > 0).any():
        raise Missing("Clipping changed no gradient in any run that is shown.")
    curves = curves[curves["run_id"].isin(set(clipped["run_id"]))]
    tasks = [task for task in results.tasks if (clipped["task"] == task).any()]
    turned = (curves.loc[curves["key"] == COSINE, "value"] < TURNED).any()
    columns = [key for key in COLUMNS if (key != COSINE or turned) and (curves["key"] == key).any()]
    looks = style.looks(results.architectures)
    drawn, axes = style.rows([len(columns)] * len(tasks), 1.9)
    for place, task in enumerate(tasks):
        part = curves[curves["task"] == task]
        row = axes[len(columns) * place : len(columns) * (place + 1)]
        for panel, key in zip(row, columns, strict=True):
            _panel(panel, part, key, looks)
        if len(tasks) > 1:
            row[0].set_title(style.plain(task, 40))
    names = [n for n in results.architectures if (curves["architecture"] == n).any()]
    thin = Line2D([], [], color=style.MUTED, linewidth=0.9, label="thin: norm after clipping")
    style.legend_below(drawn, [looks[n].line(n) for n in names] + [thin])
    return Drawing(
        drawn,
        _caption(results, curves, columns),
        [*columns, AFTER],
        curves["run_id"],
    )


def _panel(panel: Axes, part: pd.DataFrame, key: str, looks: Mapping[str, style.Look]) -> None:
    logarithmic = key in (LOSS, BEFORE)
    drawn = []
    for name, look in looks.items():
        own = part[part["architecture"] == name]
        for one, width in ((key, 1.8), (AFTER, 0.9)):
            if one == AFTER and key != BEFORE:
                continue
            line = _median(own[own["key"] == one]) * (100 if key == SHARE else 1)
            line = line[line > 0] if logarithmic else line  # zero has no place on such an axis
            if len(line):
                style_of = {"color": look.color, "linestyle": look.dashes, "linewidth": width}
                panel.plot(line.index, line, marker="." if len(line) == 1 else "", **style_of)
                drawn.append(line)
    panel.set_ylabel(COLUMNS[key])
    panel.set_xlabel("updates")
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    if key == SHARE:
        panel.set_ylim(-4, 104)
    if key == COSINE:
        low = min((float(line.min()) for line in drawn), default=0.0)
        panel.set_ylim(low - 0.06 * (1 - low), 1 + 0.06 * (1 - low))
    if logarithmic and drawn:
        known = pd.concat(drawn)
        # At least a decade: what hardly changes shall look as if it hardly changed.
        middle = float(np.sqrt(known.min() * known.max()))
        panel.set_yscale("log")
        panel.set_ylim(min(known.min() / 1.2, middle / 3), max(known.max() * 1.2, middle * 3))
        style.logarithmic(panel.yaxis)


def _median(own: pd.DataFrame) -> pd.Series:
    """Over the runs; between two of its points a run is a straight line, after the last it stays there."""
    table = own.pivot_table(index="step", columns="run_id", values="value", aggfunc="last")
    return table.interpolate(method="index", limit_area="inside").ffill().median(axis=1).dropna()


def _caption(results: Results, curves: pd.DataFrame, columns: list[str]) -> str:
    text = """What clipping did while the loss fell: medians over an arm's runs, of means between two
        evaluations; of a run that has stopped the last value is held. A rule that still clips most
        updates at the end has replaced the learning rate; one that clips the first updates alone has
        taken the edge off the start. The norm is that of the whole gradient, before clipping thick
        and after it thin."""
    if COSINE in columns:
        text += """ The cosine between the two is 1 for a rule that shortens the gradient, and less for one
            that turns it."""
    return f"{text} {_shown(results, curves)}"


def _shown(results: Results, curves: pd.DataFrame) -> str:
    """How the share of clipped updates went from the first quarter of a run to its last."""
    shares = curves[curves["key"] == SHARE]
    ends = shares.groupby("run_id")["step"].transform("max")
    quarters: dict[Arm, tuple[float, float]] = {}
    for arm in arms_of(results, zip(shares["task"], shares["architecture"], strict=True)):
        own = (shares["task"] == arm[0]) & (shares["architecture"] == arm[1])
        first = shares.loc[own & (shares["step"] <= ends / 4), "value"].mean()
        last = shares.loc[own & (shares["step"] >= ends * 3 / 4), "value"].mean()
        if not np.isnan([first, last]).any():
            quarters[arm] = float(first), float(last)
    if not quarters:
        return "No run is long enough to tell its beginning from its end."
    fell = [arm for arm, (first, last) in quarters.items() if last < first]
    most = max(quarters, key=lambda arm: abs(quarters[arm][1] - quarters[arm][0]))
    often = [arm for arm, (_, last) in quarters.items() if last > 0.5]
    first, last = quarters[most]
    text = f"""From the first quarter of training to the last the share of updates clipped fell in
        {len(fell)} of {len(quarters)} {"arm" if len(quarters) == 1 else "arms"}; it changed most in
        {named(results, most)}, from {first:.0%} to {last:.0%}."""
    if often:
        names = listing([named(results, arm) for arm in often[:4]])
        others = f", and {len(often) - 4} more" if len(often) > 4 else ""
        text += f" In the last quarter more than half are clipped in {names}{others}."
    return text
