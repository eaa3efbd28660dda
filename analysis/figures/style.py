"""How every figure looks: size, type, and one colour, dash and marker for each architecture.

Colours are seaborn's colour-blind-safe palette; dashes and markers tell the same apart in grey.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.data.wording import RAISED
from analysis.figures.placement import PageLayout, add_label

WIDTH = 7.0  # inches: the text width of an A4 or letter page
FONT = 9.5  # points at that width
INK, MUTED, GRID = "#222222", "#5c5c5c", "#dddddd"

# seaborn's "colorblind" palette, its yellow and pale pink last: they are faint on white.
_PALETTE = [sns.color_palette("colorblind").as_hex()[i] for i in (0, 1, 2, 3, 4, 5, 9, 7, 8, 6)]
_DASHES: list[Any] = ["-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.5, 1.2))]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]


SOLVED = "#029e73"
OUTCOMES: Mapping[str, tuple[str, str, str]] = {  # colour, hatch, label
    "solved": (SOLVED, "", "solved"),
    "budget": ("#c9c9c9", "", "ran out of updates"),
    "pruned": ("#efefef", "////", "pruned"),
    "diverged": ("#d55e00", "xxxx", "diverged"),
    "failed": ("#222222", "", "failed"),
    "running": ("#ffffff", "....", "not finished"),
    "interrupted": ("#ffffff", "....", "not finished"),
}


@dataclass(frozen=True)
class Look:
    color: str
    dashes: Any
    marker: str

    def line(self, label: str, **changes: Any) -> Line2D:
        """A legend entry."""
        given = {"color": self.color, "linestyle": self.dashes, "linewidth": 2.0} | changes
        return Line2D([], [], label=plain(label), **given)

    def point(self, label: str) -> Line2D:
        """A legend entry."""
        return Line2D(
            [], [], label=plain(label), color=self.color, marker=self.marker, linestyle="none"
        )


def looks(architectures: Sequence[str]) -> dict[str, Look]:
    """One look each. With several axes ("lstm · norm") the first chooses the colour, the rest dashes."""
    heads = list(dict.fromkeys(name.split(" · ")[0] for name in architectures))
    tails = list(dict.fromkeys(name.partition(" · ")[2] for name in architectures))
    found = {}
    for name in architectures:
        head, tail = heads.index(name.split(" · ")[0]), tails.index(name.partition(" · ")[2])
        second = tail if len(tails) > 1 else head
        found[name] = Look(
            color=_PALETTE[head % len(_PALETTE)],
            dashes=_DASHES[second % len(_DASHES)],
            marker=_MARKERS[second % len(_MARKERS)],
        )
    return found


@contextmanager
def page() -> Iterator[None]:
    """Settings under which a figure is drawn and saved; the same data give the same bytes."""
    settings = sns.axes_style("ticks") | {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
        "font.size": FONT,
        "axes.titlesize": FONT + 0.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": FONT,
        "xtick.labelsize": FONT - 0.5,
        "ytick.labelsize": FONT - 0.5,
        "legend.fontsize": FONT,
        "legend.frameon": False,
        "legend.title_fontsize": FONT,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "hatch.linewidth": 0.6,
        "svg.fonttype": "path",
        "svg.hashsalt": "longlag",
        "text.parse_math": False,  # a "$" in a name is a dollar
    }
    with mpl.rc_context(settings):
        yield


def panels(
    count: int, *, columns: int = 2, height: float = 2.6, extra: float = 0.5, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A page-wide figure with that many panels, row by row; a single one is not stretched in height."""
    columns = min(columns, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(WIDTH, lines * height + extra), layout=page_layout())
    grid = figure.subplots(lines, columns, squeeze=False, **options)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def rows(counts: Sequence[int], height: float | Sequence[float] = 2.5) -> tuple[Figure, list[Axes]]:
    """A page-wide figure with rows of so many panels, each row filling the width.

    Inches a row: the same for all, or one number each.
    """
    columns = math.lcm(*counts)
    heights = [height] * len(counts) if isinstance(height, int | float) else list(height)
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.5), layout=page_layout())
    grid = figure.add_gridspec(len(counts), columns, height_ratios=heights)
    return figure, [
        figure.add_subplot(grid[row, columns // count * i : columns // count * (i + 1)])
        for row, count in enumerate(counts)
        for i in range(count)
    ]


def page_layout() -> PageLayout:
    return PageLayout(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.04)


def legend_below(figure: Figure, handles: Sequence[Any], **options: Any) -> None:
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    fitting = max(1, int(88 / (longest + 8)))  # letters across the page, an entry's line included
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(len(handles), fitting),
        handlelength=2.8,
        columnspacing=1.4,
        **options,
    )
    # The panels keep their height: a line of the legend has been reckoned with, more have not.
    more = -(-len(handles) // min(len(handles), fitting)) - 1 if handles else 0
    figure.set_figheight(figure.get_figheight() + 0.2 * more)


def levels(axes: Axes, marks: Mapping[str, float]) -> None:
    """Labelled horizontal reference lines, the labels in the margin at the right.

    A label that would meet another is moved off its line, to which a thin line leads.
    """
    told = {f"{label}{_before_number(label)}{value:.3g}": value for label, value in marks.items()}
    width = _fitting(axes, list(told))
    for text, value in told.items():
        axes.axhline(
            value,
            color=MUTED,
            linewidth=1.0,
            linestyle="--" if text.startswith("solved") else ":",
            zorder=1,
        )
        add_label(
            axes,
            "y",
            textwrap.fill(plain(text, 60), width),
            xy=(1, value),
            xycoords=("axes fraction", "data"),
            xytext=(9, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=FONT - 0.5,
            linespacing=1.05,
            color=MUTED,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6}
            | {"shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def _before_number(label: str) -> str:
    """A colon, lest a label that ends in a number run into its value; "solved below" needs none."""
    return " " if label.endswith((" below", " from", " =")) else ": "


def _fitting(axes: Axes, texts: Sequence[str]) -> int:
    """Letters a line with which all labels stand beside the axes: as few as these can do with."""
    box = axes.get_window_extent()  # before its own labels take some of it
    lines = 0.75 * 72 * box.height / axes.figure.dpi / (1.3 * FONT)
    letters = 0.45 * 72 * box.width / axes.figure.dpi / (0.55 * FONT)  # the rest is for the curves
    widths = [20, *(width for width in (30, 44, 60) if width <= letters)]
    fitting = (w for w in widths if sum(len(textwrap.wrap(t, w)) for t in texts) <= lines)
    return next(fitting, widths[-1])


def logarithmic(axis: Axis) -> None:
    """Readable ticks for an axis on a logarithmic scale; call when its limits are final."""
    low, high = sorted(axis.get_view_interval())
    choices = [(1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)]
    counts = [_ticks(low, high, choice) for choice in choices]
    most = 4 if isinstance(axis, XAxis) else 6  # numbers side by side need more room
    fitting = [c for c, count in zip(choices, counts, strict=True) if 2 <= count <= most]
    if fitting:
        axis.set_major_locator(LogLocator(subs=fitting[0], numticks=7))
    elif 0 < low < high < 10 * low:  # too little of a decade for any of these
        axis.set_major_locator(MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float, leading: Sequence[float]) -> int:
    """How many numbers with these leading digits an axis has; none unless it is positive."""
    if not 0 < low < high:
        return 0
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return sum(low <= digit * 10.0**decade <= high for decade in decades for digit in leading)


def power(value: float) -> str:
    """0.01, 20, 10⁻⁵: a tick's number without need of mathematical typesetting."""
    if value <= 0 or 1e-4 < value < 1e5:
        return f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(RAISED)
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def decades(axis: Axis) -> None:
    """Ticks of an axis of base-10 logarithms: 10⁻⁴⁰⁰, 10⁻², 1. None for a fraction of a decade."""
    axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=2))
    axis.set_major_formatter(FuncFormatter(lambda value, _: ten_to_the(value)))


def ten_to_the(exponent: float) -> str:
    """Of a whole exponent, which may be one that no float reaches; else nothing."""
    if exponent != round(exponent):
        return ""
    raised = str(round(exponent)).translate(RAISED)
    return {0: "1", 1: "10"}.get(round(exponent), f"10{raised}")


def plain(text: str, longest: int = 40) -> str:
    """A name as a label: one line, not too long, and not hidden as one that begins with "_" is."""
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return "\u200b" + line if line.startswith("_") else line


def jitter(count: int, width: float) -> np.ndarray:
    """Evenly spaced offsets around 0."""
    return (np.arange(count) - (count - 1) / 2) * width


def named_rows(panel: Axes, names: Sequence[str], *, labelled: bool = True) -> None:
    """A row for each name, from the top down."""
    panel.set_yticks(range(len(names)), [plain(name, 24) for name in names])
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0, labelleft=labelled)
    panel.grid(visible=False, axis="y")


def points(
    panel: Axes, row: float, values: Sequence[float], look: Look, marker: str = "o", **fill: Any
) -> None:
    """A point a run, around a row, and a bar at their median; NaNs are left out."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return
    around = row + jitter(len(known), 0.2 / len(known))
    panel.plot(known, around, marker, color=look.color, markersize=4.5, zorder=3, **fill)
    middle = float(np.median(known))
    panel.plot([middle] * 2, [row - 0.24, row + 0.24], color=INK, linewidth=1.4, zorder=2)


def points_legend() -> list[Line2D]:
    return [
        Line2D([], [], label="a run", marker="o", linestyle="none", color=MUTED),
        Line2D([], [], label="their median", marker="|", linestyle="none", color=INK, ms=11),
    ]


def whole_numbers(axes: Axes) -> None:
    """Ticks of the horizontal axis at integers only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
