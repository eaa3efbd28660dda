"""The pictures that go with a run. They draw what was measured and measure nothing."""

import itertools
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from study.probes.gradient_flow import GradientFlow
from study.probes.state_gradients import LaggedGradients
from study.probes.writing import Example

# Okabe & Ito's colours, told apart by the colour-blind too.
_STAGES = {
    "init": ("at initialization", "#0072B2", "-"),
    "final": ("after training", "#D55E00", "--"),
}

_FRAME = "#D55E00"
MOST_ALIGNMENTS = 4
MOST_LABELS = 60
WIDEST = 15.5  # inches
_LOWEST = 20  # decades below the highest that a panel reaches
DECADES = 12  # of a gradient that a heatmap tells apart; what is smaller carries nothing


def gradient_flow_picture(title: str, flows: Mapping[str, GradientFlow | None]) -> bytes:
    """A PNG: ‖∂L/∂s_t‖ against lag on a log scale, one panel a state, one line a stage."""
    states = list(dict.fromkeys(s for flow in flows.values() if flow for s in flow.norms)) or ["h"]
    figure = Figure(figsize=(4.6 * len(states) + 0.4, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(states), squeeze=False, sharey=True)[0]
    for axes, state in zip(panels, states, strict=True):
        for stage, (label, colour, dashes) in _STAGES.items():
            flow = flows.get(stage)
            if flow is None or state not in flow.norms:
                continue
            norms = [value if value > 0 else float("nan") for value in flow.norms[state]]
            life = flow.half_life_steps
            half = f"half-life {life:.3g} steps" if life is not None else "no decay"
            text = f"{label}, {half}" if state == states[0] else label
            axes.plot(norms, dashes, color=colour, label=text, linewidth=1.8)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("lag before the last step (steps)")
        _where_reading_ends(axes, flows)
        axes.set_title(f"state {state}", fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            axes.legend(fontsize=8.5, frameon=False)
        else:
            axes.text(0.5, 0.5, "not finite", ha="center", transform=axes.transAxes)
    panels[0].set_ylabel("‖∂L/∂state‖, mean of sequences")
    return _png(figure, title)


# The norms of a gradient by lag.
Curve = Mapping[int, float]


def arm_flow_picture(title: str, curves: Mapping[str, Sequence[Curve]]) -> bytes:
    """A PNG: ‖∂L/∂output‖ over that at lag 0 against lag, a thin line a run, a thick one their median."""
    return _png(arm_flow_figure(curves), title)


def arm_flow_figure(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    top, bottom = 1.0, 0.1
    for stage, (label, colour, dashes) in _STAGES.items():
        relative = [_relative(curve) for curve in curves.get(stage, ())]
        relative = [curve for curve in relative if curve]
        for curve in relative:
            axes.plot(*_line(curve), dashes, color=colour, alpha=0.35, linewidth=0.9)
        if not relative:
            continue
        lags = sorted(set[int]().union(*relative))
        middle = {n: float(np.median([c[n] for c in relative if n in c])) for n in lags}
        runs = f"{len(relative)} run{'s' if len(relative) > 1 else ''}"
        axes.plot(*_line(middle), dashes, color=colour, linewidth=2.2, label=f"{label}, {runs}")
        known = [value for curve in relative for value in curve.values() if value > 0]
        top, bottom = max(top, *known), min(bottom, *known)
    axes.set_yscale("log")
    axes.set_ylim(max(bottom / 2, top * 10.0**-_LOWEST), top * 2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("lag before the last step (steps)")
    axes.set_ylabel("‖∂L/∂output‖ over lag 0")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.has_data():
        axes.legend(fontsize=8.5, frameon=False)
    else:
        axes.text(0.5, 0.5, "not finite, or zero", ha="center", transform=axes.transAxes)
    return figure


def _relative(curve: Curve) -> dict[int, float]:
    """Over the norm at lag 0; empty where there is none."""
    first = curve.get(0, 0.0)
    return {lag: value / first for lag, value in curve.items()} if first > 0 else {}


def _line(curve: Curve) -> tuple[list[int], list[float]]:
    lags = sorted(curve)
    return lags, [curve[lag] if curve[lag] > 0 else float("nan") for lag in lags]


def _where_reading_ends(axes: Axes, flows: Mapping[str, GradientFlow | None]) -> None:
    """Between the lags of what was written and those of what was read."""
    written = next((flow.written for flow in flows.values() if flow and flow.written), None)
    if written is None:
        return
    fewest, most = written
    axes.axvspan(fewest - 0.5, max(most - 0.5, fewest - 0.44), color="0.5", alpha=0.14, linewidth=0)
    axes.annotate(
        "← written  read →",
        xy=((fewest + most) / 2 - 0.5, 0.02),
        xycoords=("data", "axes fraction"),
        ha="center",
        fontsize=8,
        color="0.35",
    )


def state_gradients_picture(title: str, found: Mapping[int, LaggedGradients]) -> bytes:
    """A PNG: a row for each number of updates, lag to the right, the gradient's norm as a colour."""
    return _png(state_gradients_figure(found), title)


def state_gradients_figure(found: Mapping[int, LaggedGradients]) -> Figure:
    """log₁₀ of ‖∂L/∂(all states)‖ over that at lag 0, a row a measurement; blank where it is zero."""
    # Beside the colours there is room for what they mean.
    figure = Figure(figsize=(6.4, max(2.8, 1.6 + 0.24 * len(found))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    lags = next(iter(found.values())).lags
    between = [(a + b) / 2 for a, b in itertools.pairwise(lags)]
    values = np.array([_over_lag_0(each.whole.mean) for each in found.values()])
    known = values[np.isfinite(values)]
    top = max(0.0, float(known.max(initial=0.0)))
    mesh = axes.pcolormesh(
        [-0.5, *between, lags[-1] + 0.5],
        np.arange(len(found) + 1) - 0.5,
        np.ma.masked_invalid(values),
        vmin=max(min(-1.0, float(known.min(initial=0.0))), top - DECADES),
        vmax=top,
        cmap="viridis",
    )
    axes.set_yticks(range(len(found)), [str(step) for step in found])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("lag before the last step (steps)")
    axes.set_ylabel("updates")
    figure.colorbar(mesh, ax=axes, label="log₁₀ of the norm over lag 0", extend="min")
    return figure


def _over_lag_0(logs: Sequence[float | None]) -> list[float]:
    first = logs[0]
    gone = float("nan")
    return [gone if first is None or value is None else value - first for value in logs]


def attention_picture(title: str, examples: Sequence[Example]) -> bytes:
    """A PNG: for up to four sequences the weight of each step read, for each symbol written.

    Framed: the step that the symbol wanted there hangs on, where the task says so.
    """
    shown = [example for example in examples if example.weights][:MOST_ALIGNMENTS]
    longest = max(len(example.read) for example in shown)
    tallest = max(len(example.written) for example in shown)
    side = min(0.26, 9 / longest, 9 / tallest)  # inches a symbol
    width = side * longest + 1.2
    across = max(1, min(len(shown), int(WIDEST // width)))
    down = -(-len(shown) // across)
    size = (max(width * across + 0.9, 5), (side * tallest + 0.8) * down + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes, example in zip(panels, shown, strict=False):
        image = axes.imshow(example.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        _label(axes.xaxis, example.read)
        _label(axes.yaxis, example.written)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=8)
        for row, column in enumerate((example.alignment or [])[: len(example.written)]):
            if column >= 0:
                corner = (column - 0.5, row - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_FRAME, linewidth=1.2))
        axes.set_title(
            "read" if example.written == example.wanted else "read (answered wrongly)", fontsize=9
        )
    for axes in panels[::across]:
        axes.set_ylabel("written")
    figure.colorbar(image, ax=panels, label="attention", fraction=0.03, pad=0.02)
    if any(example.alignment for example in shown):
        figure.supxlabel(
            "framed: what the symbol wanted there hangs on (the state after it knows it too)",
            fontsize=8.5,
        )
    return _png(figure, title)


def drawn_picture(title: str, pictures: Mapping[str, Sequence[Sequence[int]]]) -> bytes:
    """A PNG: grey levels, a panel for each picture, by what it is of."""
    figure = Figure(figsize=(1.05 * len(pictures) + 0.3, 1.9), layout="constrained")
    FigureCanvasAgg(figure)
    top = max(level for picture in pictures.values() for row in picture for level in row) or 1
    panels = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axes, (name, picture) in zip(panels, pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=top)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    return _png(figure, title)


def _label(axis: Axis, names: Sequence[str]) -> None:
    every = 1 if len(names) <= MOST_LABELS else -(-len(names) // MOST_LABELS)
    places = range(0, len(names), every)
    axis.set_ticks(list(places), [names[i] for i in places])


def _png(figure: Figure, title: str) -> bytes:
    figure.suptitle(title, fontsize=11)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=130)
    return buffer.getvalue()
