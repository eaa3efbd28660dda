"""Where labels go, so that none is cut and no two meet: decided once a page's panels have their size."""

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation, Text
from matplotlib.transforms import IdentityTransform
from scipy.optimize import isotonic_regression

GAP = 1.5  # points between two labels
SHORTEST = 8  # letters a line, below which no label is broken


class Label(Annotation):
    """A label beside an axis that may be moved along it, to make room for others: "x" or "y"."""

    def __init__(self, *arguments: Any, along: Literal["x", "y"], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.along = along


class PageLayout(ConstrainedLayoutEngine):
    """Constrained layout; then the axes' labels are broken to fit and a `Label` makes way for others."""

    def execute(self, fig: Any) -> None:
        super().execute(fig)
        broken = [_break_to_fit(axes) for axes in fig.axes]
        if any(broken):  # which takes room from the panels, at their sides
            super().execute(fig)
        for axes in fig.axes:
            _make_way(axes)


def add_label(axes: Axes, along: Literal["x", "y"], text: str, **options: Any) -> Label:
    label = Label(text, along=along, clip_on=False, **options)
    label.set_transform(IdentityTransform())  # as Axes.annotate does; an Annotation finds its own
    axes.add_artist(label)
    return label


def mark_above(axes: Axes, noun: str, places: Sequence[float], **look: Any) -> None:
    """Dotted lines at these places along x, each with its number above, the first one's with the noun."""
    for place in places:
        axes.axvline(place, color=look["color"], linewidth=1.0, linestyle=":", zorder=1)
    for place in places:
        add_label(
            axes,
            "x",
            f"{noun} {place:g}" if place == places[0] else f"{place:g}",
            xy=(place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            **look,
        )


def spread(
    centres: Sequence[float], sizes: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres as near to those given, by least squares, as lets intervals of these sizes not overlap.

    Between ``low`` and ``high`` where there is room for all of them, else from ``low`` on. The order
    stays: that of the centres, of equal ones that in which they are given.
    """
    if not centres:
        return []
    order = sorted(range(len(centres)), key=lambda i: centres[i])
    ordered = [sizes[i] for i in order]
    # How far each must be from the first: with it taken away, what is asked is that they rise.
    needed = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in pairwise(ordered)])])
    risen = isotonic_regression(np.asarray([centres[i] for i in order]) - needed).x
    first, last = low + ordered[0] / 2, high - ordered[-1] / 2 - needed[-1]
    placed = np.clip(risen, first, max(last, first)) + needed
    found = dict(zip(order, placed.tolist(), strict=True))
    return [found[i] for i in range(len(centres))]


def _break_to_fit(axes: Axes) -> bool:
    """Break the axes' own labels into lines no longer than the axes are; whether any was."""
    box = axes.get_window_extent()
    done = [
        _break(axes.yaxis.label, box.height, "height"),
        _break(axes.xaxis.label, box.width, "width"),
    ]
    return any(done)


def _break(label: Text, room: float, side: Literal["height", "width"]) -> bool:
    """Broken at spaces until its longest line fits in ``room`` pixels."""
    given = label.get_text()
    lines = given.splitlines()
    letters = max((len(line) for line in lines), default=0)
    while (long := getattr(label.get_window_extent(), side)) > room and letters > SHORTEST:
        letters = max(SHORTEST, min(letters - 1, int(letters * room / long)))
        label.set_text("\n".join(part for line in lines for part in textwrap.wrap(line, letters)))
    return label.get_text() != given


def _make_way(axes: Axes) -> None:
    labels = [artist for artist in axes.texts if isinstance(artist, Label)]
    for along in ("x", "y"):
        _spread_labels(axes, [label for label in labels if label.along == along], along)


def _spread_labels(axes: Axes, labels: Sequence[Label], along: Literal["x", "y"]) -> None:
    """Offsets in points, as they hold for every resolution that is drawn in later."""
    if not labels:
        return
    dimension = "xy".index(along)
    point = _figure(axes).dpi / 72
    box = axes.get_window_extent()
    low, high = (box.x0, box.x1) if along == "x" else (box.y0, box.y1)
    wanted, sizes = [], []
    for label in labels:
        extent = Text.get_window_extent(label)  # without the line that leads to it
        sizes.append((extent.width if along == "x" else extent.height) + GAP * point)
        wanted.append(_anchor(axes, label)[dimension])
    for label, at, centre in zip(labels, wanted, spread(wanted, sizes, low, high), strict=True):
        offset = list(label.xyann)
        offset[dimension] = (centre - at) / point
        label.xyann = (offset[0], offset[1])


def _anchor(axes: Axes, label: Label) -> tuple[float, float]:
    """In pixels, of a point with one coordinate in data and the other a fraction of the axes."""
    x = axes.transData.transform((label.xy[0], 1))[0] if label.along == "x" else 0.0
    y = axes.transData.transform((1, label.xy[1]))[1] if label.along == "y" else 0.0
    return float(x), float(y)


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
