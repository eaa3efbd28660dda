"""The pictures of `longlag gradient`: they draw what was measured, a colour or a dash a network."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import style
from study.commands.gradient import Measured
from study.commands.gradient_wording import relative
from study.probes.jacobians import Jacobians, Spectrum
from study.probes.state_gradients import LaggedGradients

DECADES = 20  # shown below the top, as in the report's figure: what is smaller carries nothing
MARKED = 3  # every third lag that is kept has a mark
_NAME = 80  # letters in a legend


def gradient_picture(networks: Sequence[Measured]) -> Figure:
    """Norms over those at lag 0: a line for the mean over sequences, a band for their middle half."""
    figure, (panel,) = style.panels(1, height=3.4)
    when = "" if any(network.is_trained for network in networks) else ", before training"
    panel.set_title(f"Gradient against lag{when}")
    heights = _Heights()
    for network, look in _looks(networks):
        found = network.gradients
        if found is not None and found.whole.mean[0] is not None:
            _curve(panel, found, look, heights)
            low, high = (_relative_to(found, v) for v in (found.whole.low, found.whole.high))
            panel.fill_between(found.lags, low, high, color=look.color, alpha=0.15, linewidth=0)
    heights.limit(panel)
    _against_lag(panel)
    style.legend_below(figure, _handles(networks))
    return figure


def lyapunov_picture(networks: Sequence[Measured]) -> Figure:
    """The leading exponents with two standard errors; the gradient beside e^(λ₁·lag)."""
    figure, (spectrum, decay) = style.panels(2, height=3.0)
    spectrum.set_title("Lyapunov exponents λ_i")
    decay.set_title("Gradient (marks) and e^(λ₁·lag)")
    spectrum.axhline(0, color=style.MUTED, linewidth=1.0, zorder=1)
    heights = _Heights()
    for network, look in _looks(networks):
        if network.exponents is not None:
            values = [_or_nan(e) for e in network.exponents.exponents]
            errors = [2 * (e or 0.0) for e in network.exponents.standard_errors]
            places = range(1, len(values) + 1)
            spectrum.errorbar(
                places,
                values,
                yerr=errors,
                color=look.color,
                linestyle=look.dashes,
                marker=look.marker,
                markersize=4,
                linewidth=1.2,
            )
        found = network.gradients
        if found is None or found.whole.mean[0] is None:
            continue
        marks = relative(found.whole)[::MARKED]
        heights.add(marks)
        decay.plot(
            found.lags[::MARKED], _powers(marks), look.marker, color=look.color, markersize=4
        )
        largest = network.largest_exponent
        if largest is not None:
            logs = [largest * lag / math.log(10) for lag in found.lags]
            heights.add(logs)
            decay.plot(found.lags, _powers(logs), color=look.color, linestyle=look.dashes)
    style.whole_numbers(spectrum)
    spectrum.set_xlabel("i")
    spectrum.set_ylabel("λ_i, nats a step")
    heights.limit(decay)
    _against_lag(decay)
    style.legend_below(figure, _handles(networks, markers=True))
    return figure


def jacobian_picture(networks: Sequence[Measured]) -> Figure:
    """Singular values of the whole state's Jacobian: of a step, and the reach of those over k steps."""
    figure, (step, products) = style.panels(2, height=3.0)
    step.set_title("Singular values of one step")
    products.set_title("Largest to smallest over k steps")
    steps, over = _Heights(), _Heights()
    for network, look in _looks(networks):
        found = network.jacobians
        if found is None or found.step is None or found.products is None:
            continue
        logs = _common(found.step)
        steps.add(logs)
        _values(step, range(1, len(logs) + 1), logs, look)
        top, bottom = _reach(found)
        over.add([*top, *bottom])
        _values(products, found.lags, top, look)
        products.fill_between(
            found.lags, _powers(bottom), _powers(top), color=look.color, alpha=0.15, linewidth=0
        )
    for panel, heights, label in ((step, steps, "i of σ_i"), (products, over, "k, steps")):
        panel.axhline(1, color=style.MUTED, linewidth=1.0, zorder=1)
        heights.limit(panel)
        style.whole_numbers(panel)
        panel.set_xlabel(label)
    step.set_ylabel("singular value")
    style.legend_below(figure, _handles(networks))
    return figure


PICTURES: Mapping[str, Callable[[Sequence[Measured]], Figure]] = {
    "gradient": gradient_picture,
    "lyapunov": lyapunov_picture,
    "jacobian_spectra": jacobian_picture,
}


class _Heights:
    """The logarithms, to base 10, that a panel has to show."""

    def __init__(self) -> None:
        self._low, self._top = -1.0, 0.0

    def add(self, logs: Sequence[float | None]) -> None:
        known = [log for log in logs if log is not None]
        self._low, self._top = min(self._low, *known, 0.0), max(self._top, *known, 0.0)

    def limit(self, panel: Axes) -> None:
        panel.set_yscale("log")
        low = max(self._low - 0.3, self._top - DECADES)
        # float64, in which matplotlib places things, ends at 1e308.
        panel.set_ylim(10 ** min(low, 280.0), 10 ** min(self._top + 0.5, 300.0))
        style.logarithmic(panel.yaxis)


def _curve(panel: Axes, found: LaggedGradients, look: style.Look, heights: _Heights) -> None:
    logs = relative(found.whole)
    heights.add(logs)
    panel.plot(found.lags, _powers(logs), color=look.color, linestyle=look.dashes, linewidth=2.0)


def _values(
    panel: Axes, places: Sequence[int], logs: Sequence[float | None], look: style.Look
) -> None:
    alone = look.marker if len(logs) == 1 else None  # a line of one point is not seen
    given: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": alone}
    panel.plot(places, _powers(logs), linewidth=2.0, **given)


def _relative_to(found: LaggedGradients, logs: Sequence[float | None]) -> list[float]:
    first = found.whole.mean[0]
    assert first is not None
    return _powers([None if log is None else log - first for log in logs])


def _against_lag(panel: Axes) -> None:
    style.whole_numbers(panel)
    panel.set_xlabel("lag, steps before the last")
    panel.set_ylabel("gradient norm, all states,\nrelative to lag 0")


def _looks(networks: Sequence[Measured]) -> list[tuple[Measured, style.Look]]:
    looks = style.looks([network.name for network in networks])
    return [(network, looks[network.name]) for network in networks]


def _handles(networks: Sequence[Measured], *, markers: bool = False) -> list[object]:
    handles = []
    for network, look in _looks(networks):
        marks = {"marker": look.marker, "markersize": 4} if markers else {}
        handles.append(look.line("", **marks))
        handles[-1].set_label(style.plain(network.name, _NAME))
    return [*handles]


def _common(spectrum: Spectrum) -> list[float | None]:
    return [None if mean is None else mean / math.log(10) for mean in spectrum.mean]


def _reach(found: Jacobians) -> tuple[list[float | None], list[float | None]]:
    """log₁₀ of the largest and of the smallest that is resolved, at each lag."""
    known = [[log for log in _common(s) if log is not None] for s in found.products or []]
    return [logs[0] if logs else None for logs in known], [
        logs[-1] if logs else None for logs in known
    ]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _powers(logs: Sequence[float | None]) -> list[float]:
    # float64 ends at 1e308; what is further below is far below the panel.
    return [float("nan") if v is None else 10.0 ** max(min(v, 300.0), -300.0) for v in logs]
