"""How far the past's effect on the present is stretched and squeezed, direction by direction."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.data.probe_files import Jacobians, Number
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import RAISED, counted, short
from analysis.figures import Drawing, Missing, figure, small_multiples, style
from analysis.figures.small_multiples import Arm, named

DECADES = 16  # below the top; double precision tells one apart from the next so far
LEAST = 2  # decades of the scale at least, to both sides of 1 a half
LARGEST, MIDDLE, SMALLEST = "largest", "median", "smallest"

Tables = dict[str, pd.DataFrame]  # by stage: a row a lag, log₁₀ of σ


@figure(
    "singular_values",
    "Singular values of the Jacobian against lag",
    order=33,
    chapter="Gradient flow",
)
def singular_values(results: Results) -> Drawing:
    """A panel an arm: the band from the smallest to the largest σ of ∂s_T/∂s_{T-k}, the median within."""
    found = results.probed.of(Jacobians, "init", "best")
    arms = {
        arm: tables
        for arm, own in small_multiples.by_arm(results, found).items()
        if (tables := _tables(own))
    }
    if not arms:
        raise Missing(
            "No confirmation and no chosen trial has singular values of its Jacobians (probe jacobians)."
        )
    looks = style.looks(results.architectures)
    panels = small_multiples.panels(
        results, list(arms), "lag k, steps", "singular value", height=1.7
    )
    low, high = _range(arms.values())
    for arm, panel in panels.by_arm.items():
        for stage, table in arms[arm].items():
            _band(panel, table, style.MUTED if stage == "init" else looks[arm[1]].color, stage)
        _scales(panel, arms[arm], low, high)
    style.legend_below(panels.figure, _legend())
    shown = {arm: arms[arm] for arm in panels.by_arm}
    return Drawing(
        panels.figure,
        f"""Singular values σ of the Jacobian of the last state by the state k steps before, means of their
        logarithms over sequences and runs; grey before training, coloured after it. Each band goes from
        the smallest σ to the largest, with the median dashed. By σ a small change of the past state is
        stretched on its way to the last one, and the gradient on its way back. A band around 1 is
        dynamical isometry (Saxe, McClelland & Ganguli, 2014; Pennington, Schoenholz & Ganguli,
        2017): nothing vanishes and nothing explodes. A band that opens downwards forgets some
        directions sooner than others; one whose upper edge falls forgets all. Where σ is zero or
        not resolved by double precision the band ends at the smallest that is.
        {_shown(results, shown)}{panels.said()}""",
        ["file jacobians.json"],
        [f.run_id for f in found if (f.task, f.architecture) in panels.by_arm],
    )


def _tables(found: Sequence[Found[Jacobians]]) -> Tables:
    tables = {}
    for stage in ("init", "best"):
        own = [rows for f in found if f.stage == stage and len(rows := _numbers(f.finding))]
        if own:
            mean = pd.concat(own).groupby(level=0).mean()
            tables[stage] = mean.dropna(subset=[LARGEST])
    return {stage: table for stage, table in tables.items() if len(table)}


def _numbers(finding: Jacobians) -> pd.DataFrame:
    """Of the whole state; where that was too large to measure, of its first variable."""
    spectra = finding.products or next(iter(finding.product_blocks.values()), [])
    rows = [_three(spectrum.mean) for spectrum in spectra]
    lags = finding.lags[: len(rows)]
    return pd.DataFrame(rows, index=lags, columns=[LARGEST, MIDDLE, SMALLEST]) / math.log(10)


def _three(logs: Sequence[Number]) -> tuple[float, float, float]:
    """The largest, the median of all and the smallest that is resolved; NaN for what is not."""
    known = [value for value in logs if value is not None]
    middle = (logs[(len(logs) - 1) // 2], logs[len(logs) // 2])
    median = math.nan if None in middle else float(np.mean(np.asarray(middle, dtype=float)))
    return (known[0], median, known[-1]) if known else (math.nan,) * 3


def _range(arms: Iterable[Tables]) -> tuple[float, float]:
    every = pd.concat([table for tables in arms for table in tables.values()])
    high = max(float(every[LARGEST].max()), LEAST / 2)
    low = min(float(every.min().min()), -LEAST / 2)
    return max(low, high - DECADES), high


def _band(panel: Axes, table: pd.DataFrame, color: str, stage: str) -> None:
    trained = stage != "init"
    panel.fill_between(
        table.index,
        table[SMALLEST],
        table[LARGEST],
        color=color,
        alpha=0.25 if trained else 0.2,
        linewidth=0,
    )
    for column, dashes, width in (
        (LARGEST, "-", 1.8),
        (MIDDLE, (0, (3, 1.5)), 1.3),
        (SMALLEST, "-", 0.7),
    ):
        panel.plot(
            table.index,
            table[column],
            color=color,
            linestyle=dashes,
            linewidth=width,
            zorder=3 if trained else 2,
            marker="." if len(table) == 1 else "",
        )


def _scales(panel: Axes, tables: Tables, low: float, high: float) -> None:
    lags = sorted({int(lag) for table in tables.values() for lag in table.index})
    panel.set_xscale("log", base=2)
    step = -(-len(lags) // 4)
    panel.xaxis.set_major_locator(FixedLocator(lags[::-1][::step]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(lags[0] / 1.12, lags[-1] * 1.12)
    panel.axhline(0, color=style.INK, linewidth=0.8, linestyle=":", zorder=1)
    panel.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    style.decades(panel.yaxis)


def _legend() -> list[Line2D | Patch]:
    return [
        Patch(color=style.MUTED, alpha=0.35, label="before training (grey)"),
        Line2D([], [], color=style.INK, linewidth=1.8, label="largest"),
        Line2D([], [], color=style.INK, linewidth=1.3, linestyle=(0, (3, 1.5)), label="median"),
        Line2D([], [], color=style.INK, linewidth=0.7, label="smallest resolved"),
    ]


def _shown(results: Results, arms: Mapping[Arm, Tables]) -> str:
    """Where σ_1 is furthest from 1 and nearest to it at each arm's longest lag, before and after."""
    parts = []
    for stage, when in (("init", "before training"), ("best", "after training")):
        last = {
            arm: (int(t.index[-1]), float(t[LARGEST].iloc[-1]))
            for arm, tables in arms.items()
            if (t := tables.get(stage)) is not None
        }
        if not last:
            continue
        order = sorted(last, key=lambda arm: abs(last[arm][1]))
        near = f"{named(results, order[0])} ({_times(last[order[0]])})"
        if len(order) == 1:
            parts.append(f"{when} the largest σ is {_times(last[order[0]])}")
        else:
            far = f"{named(results, order[-1])} ({_times(last[order[-1]])})"
            parts.append(f"{when} the largest σ is nearest to 1 in {near} and furthest in {far}")
    opened = _widest(results, arms)
    told = "; ".join(parts)
    return f"Over the longest lag, {told}.{opened}"


def _times(found: tuple[int, float]) -> str:
    lag, log = found
    number = short(10**log, 2) if -3 < log < 4 else f"10{str(round(log)).translate(RAISED)}"
    return f"{number} over {counted(lag, 'step')}"


def _widest(results: Results, arms: Mapping[Arm, Tables]) -> str:
    """The gap between largest and median σ at the longest lag after training, where it is known."""
    gaps = {
        arm: float((t[LARGEST] - t[MIDDLE]).iloc[-1])
        for arm, tables in arms.items()
        if (t := tables.get("best")) is not None and not math.isnan(t[MIDDLE].iloc[-1])
    }
    if not gaps:
        return ""
    least = min(gaps, key=lambda arm: gaps[arm])
    return f""" After training the largest and the median one lie closest in {named(results, least)},
        {short(gaps[least], 2)} decades apart."""
