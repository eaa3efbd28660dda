"""For how long the gates of a trained network keep a state, unit by unit, against the task's lag."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.data.probe_files import Gates
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import counted, short
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.placement import mark_above
from analysis.figures.small_multiples import Arm, by_arm, named

HIGHEST = 1e4  # steps: no sequence is longer, and what keeps for ever needs a place


@figure("gate_timescales", "Timescales of the gates", order=36, chapter="Gradient flow")
def gate_timescales(results: Results) -> Drawing:
    """A panel a task, a row an architecture, a point a unit."""
    found = [f for f in results.probed.of(Gates, "best") if f.finding.timescales]
    if not found:
        raise Missing(
            "No confirmation and no chosen trial has a gate that keeps its state (probe gates)."
        )
    arms = by_arm(results, found)
    tasks = list(dict.fromkeys(task for task, _ in arms))
    names = {task: [name for t, name in arms if t == task] for task in tasks}
    looks = style.looks(results.architectures)
    drawn, axes = style.rows([1] * len(tasks), [0.95 + 0.34 * len(names[t]) for t in tasks])
    for panel, task in zip(axes, tasks, strict=True):
        panel.set_xscale("log")
        style.named_rows(panel, names[task])
        for row, name in enumerate(names[task]):
            _units(panel, row, _times(arms[task, name]), looks[name].color)
        lags = sorted({lag for f in found if f.task == task for lag in f.finding.lag if lag > 0})
        _scale(panel, [_times(arms[task, name]) for name in names[task]], lags)
        panel.set_title(style.plain(task, 44), pad=16)
    style.legend_below(drawn, _legend())
    return Drawing(
        drawn,
        f"""Timescales τ = 1/(1 - k̄) of the trained networks' units, k̄ the mean over the task's
        sequences of the share of its state that a unit's gate keeps: the forget gate f, or 1 - z of an
        update gate z (Tallec & Ollivier, 2018). In about τ steps a unit forgets all but 1/e.
        Points are units, of all runs of an arm, the bar their median; dotted is the task's
        lag, the fewest and the most steps that something must be kept. Units at or beyond it can
        bridge it with their gate alone. {_shown(results, arms)}{_endless(found)}""",
        ["file gates.json"],
        [f.run_id for f in found],
    )


def _times(found: Sequence[Found[Gates]]) -> np.ndarray:
    """Of all runs' units; inf for one that keeps all."""
    times = [t for f in found for t in f.finding.timescales or []]
    return np.array([math.inf if t is None else t for t in times], dtype=float)


def _units(panel: Axes, row: int, times: np.ndarray, color: str) -> None:
    shown = np.clip(times, 1e-3, HIGHEST)
    # Golden-ratio steps spread neighbours in rank over the row's height, alike at every call.
    ranks = times.argsort(kind="stable").argsort(kind="stable")
    heights = row + 0.6 * ((ranks * 0.6180339887) % 1 - 0.5)
    for rows, marker in ((times <= HIGHEST, "o"), (times > HIGHEST, ">")):
        panel.plot(
            shown[rows],
            heights[rows],
            marker,
            color=color,
            markersize=3.6,
            alpha=0.5,
            markeredgewidth=0,
            zorder=3,
        )
    middle = min(float(np.median(times)), HIGHEST)
    panel.plot([middle] * 2, [row - 0.34, row + 0.34], color=style.INK, linewidth=1.4, zorder=4)


def _scale(panel: Axes, times: Sequence[np.ndarray], lags: Sequence[int]) -> None:
    known = np.clip(np.concatenate(times), 1e-3, HIGHEST)
    low, high = min(known.min(), *lags, 1.0), max(known.max(), *lags, 2.0)
    panel.set_xlim(low / 1.3, high * 1.3)
    style.logarithmic(panel.xaxis)
    panel.set_xlabel("timescale, steps")
    mark_above(panel, "lag", lags, color=style.MUTED, fontsize=style.FONT - 0.5)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], label="a unit", marker="o", linestyle="none", color=style.MUTED, ms=4),
        Line2D([], [], label="their median", marker="|", linestyle="none", color=style.INK, ms=11),
    ]


def _shown(results: Results, arms: Mapping[Arm, Sequence[Found[Gates]]]) -> str:
    """Which share of the units reaches the task's shortest lag."""
    shares = {
        arm: float(np.mean(np.concatenate([_times([f]) >= f.finding.lag[0] for f in own])))
        for arm, own in arms.items()
    }
    most, least = max(shares, key=lambda a: shares[a]), min(shares, key=lambda a: shares[a])
    median = float(np.median(_times(arms[most])))
    if len(shares) == 1:
        return f"""In {named(results, most)} {shares[most]:.0%} of the units reach the shortest lag; the
            median unit keeps for {short(median, 2)} steps."""
    if shares[most] == 0:
        return f"In none of the {counted(len(shares), 'arm')} does a unit reach the shortest lag."
    if shares[most] == shares[least]:
        every = counted(len(shares), "arm")
        return f"In each of the {every} {shares[most]:.0%} of the units reach the shortest lag."
    return f"""Most units reach the shortest lag in {named(results, most)}, {shares[most]:.0%}, and fewest in
        {named(results, least)}, {shares[least]:.0%}."""


def _endless(found: Sequence[Found[Gates]]) -> str:
    count = int((_times(found) > HIGHEST).sum())
    if not count:
        return ""
    how = "is drawn there, as a triangle" if count == 1 else "are drawn there, as triangles"
    return f" {counted(count, 'unit')} beyond {HIGHEST:g} steps {how}."
