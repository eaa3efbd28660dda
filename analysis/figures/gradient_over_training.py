"""How the gradient against lag changes while a network is trained."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedFormatter, FixedLocator

from analysis.data.probe_files import StateGradients
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import counted, whole
from analysis.figures import Drawing, Missing, figure, small_multiples, style
from analysis.figures.small_multiples import Arm, named

FALL, RISE = 12, 6  # decades that are told apart, below and above the norm at lag 0
LEAST_RISE = 2  # the scale has this much above lag 0 at least
END = "end"
COLORS = "RdBu_r"
ROWS = 128  # of a picture, which has a lag or more in each

Verdicts = dict[Arm, tuple[float, float]]


@figure("gradient_over_training", "The gradient over training", order=31, chapter="Gradient flow")
def gradient_over_training(results: Results) -> Drawing:
    """A panel an arm: updates across, lag upwards, the gradient's norm over that at lag 0 as colour."""
    found = results.probed.of(StateGradients, "init", "training", "final")
    found = [f for f in found if f.finding.whole.mean[0] is not None]
    if not found:
        raise Missing(
            "No confirmation and no chosen trial has gradients of its states (probe state_gradients)."
        )
    tables = {arm: _table(own) for arm, own in small_multiples.by_arm(results, found).items()}
    panels = small_multiples.panels(
        results, list(tables), "updates", "lag, steps before the last", height=1.75
    )
    highest = max(np.nanmax(table.to_numpy()) for table in tables.values())
    rise = float(np.clip(highest, LEAST_RISE, RISE))
    colors = _colors(rise)
    for arm, panel in panels.by_arm.items():
        mesh = _heatmap(panel, tables[arm], rise, colors)
    bar = panels.figure.colorbar(
        mesh,
        ax=list(panels.by_arm.values()),
        extend="both",
        **small_multiples.colorbar_shape(panels.figure),
    )
    bar.set_label("gradient norm, relative to lag 0")
    bar.ax.yaxis.set_major_locator(FixedLocator([*range(-FALL, 1, 3), int(rise)]))
    bar.ax.yaxis.set_major_formatter(lambda value, _: style.ten_to_the(value))
    shown = [f for f in found if (f.task, f.architecture) in panels.by_arm]
    return Drawing(
        panels.figure,
        _caption(results, tables) + panels.said(),
        ["file state_gradients.json"],
        [f.run_id for f in shown],
    )


def _table(found: Sequence[Found[StateGradients]]) -> pd.DataFrame:
    """log₁₀ of the norm over that at lag 0, lags x updates: medians over the runs that have both.

    -inf where it is zero. A run's last measurement is in the column END, at whatever update it stopped.
    """
    columns: dict[str | int, list[pd.Series]] = {}
    for f in found:
        mean = f.finding.whole.mean
        logs = np.array([-np.inf if value is None else value for value in mean], dtype=float)
        column: str | int = END if f.stage == "final" else f.step
        columns.setdefault(column, []).append(pd.Series(logs - logs[0], f.finding.lags))
    order = sorted((c for c in columns if isinstance(c, int)), key=int)
    # Runs that have solved stop: of few that go on, a median would be of others than the rest.
    runs = len({f.run_id for f in found})
    kept = [c for c in order if 2 * len(columns[c]) >= runs] + [END] * (END in columns)
    medians = {c: pd.concat(columns[c], axis=1).median(axis=1) for c in kept}
    return pd.DataFrame(medians, columns=kept).sort_index()


def _colors(rise: float) -> ListedColormap:
    """A decade is as strong a step of colour above as below; white is 1."""
    top = 0.5 + 0.5 * rise / FALL
    return ListedColormap(colormaps[COLORS](np.linspace(0, top, 256)))


def _heatmap(panel: Axes, table: pd.DataFrame, rise: float, colors: ListedColormap) -> AxesImage:
    first, last = int(table.index[0]), int(table.index[-1])
    rows = np.linspace(first, last, min(last - first + 1, ROWS)).round().astype(int)
    values = table.reindex(rows, method="nearest").to_numpy(dtype=float)
    panel.set_facecolor(style.GRID)  # of a lag that no sequence has
    image = panel.imshow(
        np.clip(values, -FALL - 1, RISE + 1),
        norm=Normalize(-FALL, rise),
        cmap=colors,
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=(0, table.shape[1], first - 0.5, last + 0.5),
    )
    if END in table and table.shape[1] > 1:
        panel.axvline(table.shape[1] - 1, color=style.INK, linewidth=0.8)
    _ticks(panel, [str(c) if c == END else _short(int(c)) for c in table])
    panel.grid(visible=False)
    return image


def _short(updates: int) -> str:
    return f"{updates / 1000:g}k" if updates >= 1000 and updates % 100 == 0 else str(updates)


def _ticks(panel: Axes, names: Sequence[str]) -> None:
    """The first, the last and some between, as many as there is room for."""
    last = len(names) - 1
    places = [0]
    for place in range(1, last):
        if min(place - places[-1], last - place) >= 0.28 * len(names):
            places.append(place)
    places += [last] * (last > 0)
    panel.xaxis.set_major_locator(FixedLocator([place + 0.5 for place in places]))
    panel.xaxis.set_major_formatter(FixedFormatter([names[place] for place in places]))


def _caption(results: Results, tables: Mapping[Arm, pd.DataFrame]) -> str:
    return f"""Each column is the gradient against lag at one point of training: the norm ‖∂L/∂s_t‖ of all of
        the cell's states as one vector, so many steps before the last, over that at the last step; the
        median over an arm's runs. Between columns training goes on about evenly on a logarithmic scale;
        behind the line, "{END}" is where a run stopped. White is as much as at the last step itself;
        blue is less, and what is darkest is 10⁻¹² or less of it, from which nothing is learned; red is
        more. {_shown(results, tables)}"""


def _shown(results: Results, tables: Mapping[Arm, pd.DataFrame]) -> str:
    """What it shows here: how much is left at the longest lag before and after, and where most changed."""
    ends: Verdicts = {
        arm: (float(table[0].iloc[-1]), float(table[END].iloc[-1]))
        for arm, table in tables.items()
        if 0 in table and END in table
    }
    if not ends:
        return "None of the arms was measured both before and after training."
    lost = [sum(pair[when] < -6 for pair in ends.values()) for when in (0, 1)]
    text = f"""Of {counted(len(ends), "arm")}, {lost[0]} had less than 10⁻⁶ left at the longest lag before
        training, and {lost[1]} after it."""

    def change(arm: Arm) -> float:
        before, after = np.maximum(ends[arm], -FALL - 1)
        return float(abs(after - before))

    most = max(ends, key=change)
    if change(most) < 0.5:
        return f"{text} Training changed it by less than a factor of 3 in every arm."
    before, after = (_power(value) for value in ends[most])
    updates = [int(c) for c in tables[most] if c not in (0, END)]
    text += f" Most changed {named(results, most)}, from {before} to {after}"
    half = [c for c in updates if abs(tables[most][c].iloc[-1] - ends[most][0]) > change(most) / 2]
    return f"{text}, more than half of it within {whole(half[0])} updates." if half else f"{text}."


def _power(value: float) -> str:
    if value < -FALL:
        return "less than 10⁻¹²"
    if value > RISE:  # it may be more than any float
        return style.ten_to_the(round(value))
    return style.power(float(f"{10**value:.0e}"))
