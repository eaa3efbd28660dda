"""The picture of `longlag gradient`, and its numbers."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.figures import style
from study.base.errors import UserError
from study.commands.gradient import Untrained, explained, relative

DECADES = 20  # shown below lag 0, as in the report's figure: what is smaller carries nothing
DPI = 150


def draw(networks: Sequence[Untrained]) -> Figure:
    """Norms over those at lag 0: a line for the mean over sequences, a band for their middle half."""
    looks = style.looks([network.name for network in networks])
    figure, (panel,) = style.panels(1, height=3.4)
    tops, bottoms = [0.0], [-1.0]
    handles = []
    for network in networks:
        look = looks[network.name]
        handles.append(look.line(""))
        handles[-1].set_label(style.plain(network.name, 80))
        found = network.found
        if found is None or found.whole.mean[0] is None:
            continue
        first = found.whole.mean[0]
        middle = _powers(relative(found.whole))
        low, high = (
            _powers([None if v is None else v - first for v in values])
            for values in (found.whole.low, found.whole.high)
        )
        panel.plot(found.lags, middle, color=look.color, linestyle=look.dashes, linewidth=2.0)
        panel.fill_between(found.lags, low, high, color=look.color, alpha=0.15, linewidth=0)
        known = [value for value in relative(found.whole) if value is not None]
        tops.append(max(known))
        bottoms.append(min(known))
    top = max(tops)
    panel.set_yscale("log")
    panel.set_ylim(10 ** max(min(bottoms) - 0.3, top - DECADES), 10 ** (top + 0.5))
    style.logarithmic(panel.yaxis)
    style.whole_numbers(panel)
    panel.set_xlabel("lag, steps before the last")
    panel.set_ylabel("gradient norm, all states,\nrelative to lag 0")
    panel.set_title("Before training")
    style.legend_below(figure, handles)
    return figure


def _powers(logs: Sequence[float | None]) -> list[float]:
    # float64 ends at 1e308; what is further below is far below the panel.
    return [float("nan") if v is None else 10.0 ** max(min(v, 300.0), -300.0) for v in logs]


def write_files(networks: Sequence[Untrained], folder: Path) -> list[Path]:
    """gradient.png, gradient.svg, and gradient.json with each one's sentence, configuration and numbers.

    Raises UserError where they cannot be written.
    """
    paths = [folder / f"gradient.{suffix}" for suffix in ("png", "svg", "json")]
    told = [
        {
            "network": network.name,
            "sentence": explained(network),
            "config": network.config.flat(),
            "state_gradients": network.found and network.found.as_dict(),
        }
        for network in networks
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with style.page():
            figure = draw(networks)
            figure.set_dpi(DPI)
            FigureCanvasAgg(figure).print_png(str(paths[0]))
            figure.set_dpi(72)
            FigureCanvasSVG(figure).print_svg(str(paths[1]), metadata={"Date": None})
        paths[2].write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return paths
