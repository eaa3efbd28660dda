"""`longlag gradient` in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.commands.gradient import Measured
from study.commands.gradient_wording import (
    exponent,
    left_at_lag,
    power_of_ten,
    relative,
    sentences,
)
from study.probes.jacobians import Spectrum
from study.trial.probing import PROBED_SEQUENCES

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24  # letters of a curve
_DECADES = 12  # that a curve shows below the gradient at lag 0; it is level with less than one


def page(networks: Sequence[Measured]) -> RenderableType:
    """A line for each with its curve, a line for each with its numbers, then its sentences."""
    bottom, top = _scale([relative(n.gradients.whole) for n in networks if n.gradients])
    scale = (
        "From lag 0 at the left to the longest; the height is log₁₀ of the gradient's norm over that at "
        f"lag 0, from {bottom:.3g} or less to {top:.3g}. It is the gradient, to all states, of the loss "
        f"at the last step, the mean over {PROBED_SEQUENCES} sequences."
    )
    measures = (
        "λ₁ is the largest Lyapunov exponent, in nats a step. The gradient goes as e^(λ₁·lag) in the "
        "long run. σ₁ and σ_N are the largest and the smallest singular value of one step's Jacobian; "
        "- where one is 0, or float64 does not resolve it."
    )
    told = [Text(sentence) for network in networks for sentence in sentences(network).values()]
    return Group(
        _curves(networks, bottom, top),
        "",
        Text(scale, style="dim"),
        "",
        _numbers(networks),
        "",
        Text(measures + _over(networks), style="dim"),
        *(part for sentence in told for part in ("", sentence)),
    )


def _over(networks: Sequence[Measured]) -> str:
    averages = next((n.exponents for n in networks if n.exponents), None)
    found = next((n.jacobians for n in networks if n.jacobians), None)
    told = ""
    if averages:
        told += (
            f" Exponents are averages over {averages.streams} streams of {averages.steps} steps."
        )
    if found:
        told += f" Jacobians are of the first {found.lags[-1]} steps of a sequence."
    return told


def _curves(networks: Sequence[Measured], bottom: float, top: float) -> Table:
    table = _table("network", "gradient against lag", "at lag", "left", "verdict")
    for network in networks:
        name, found = _over_lines(network.name), network.gradients
        if found is None:
            table.add_row(name, "not finite", "", "", "")
            continue
        line = sparkline(relative(found.whole), bottom, top)
        verdict = found.verdict or "no gradient"
        table.add_row(name, line, str(found.lag), left_at_lag(found), verdict)
    return table


def _numbers(networks: Sequence[Measured]) -> Table:
    table = _table("network", "λ₁ ± error", "e^(λ₁·lag)", "σ₁", "σ₁/σ_N", "over k steps")
    for network in networks:
        cells = [*_exponent_cells(network), *_jacobian_cells(network)]
        table.add_row(_over_lines(network.name), *cells)
    return table


def _exponent_cells(network: Measured) -> list[str]:
    """λ₁ with its error, and what it makes of a gradient over the task's lag."""
    largest, lag = network.largest_exponent, network.lag
    if network.exponents is None:
        return ["not finite", ""]
    if largest is None:
        return ["unresolved", ""]
    return [exponent(network.exponents), "" if lag is None else power_of_ten(largest * lag)]


def _jacobian_cells(network: Measured) -> list[str]:
    """σ₁ and σ₁/σ_N of a step, and σ₁/σ_N over the longest lag."""
    found = network.jacobians
    if found is None:
        return ["too large" if network.too_large else "not finite", "", ""]
    largest = None if network.step is None else network.step.mean[0]
    over = f"{_condition(network.product)}, k = {found.lags[-1]}"
    return [_number(largest), _condition(network.step), over]


def _condition(spectrum: Spectrum | None) -> str:
    return _number(None if spectrum is None else spectrum.log_condition)


def _number(log: float | None) -> str:
    return "-" if log is None else power_of_ten(log)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "network", overflow="fold")
    return table


def _over_lines(name: str) -> str:
    """A network's settings below its cell, as a line of a terminal has no room for them."""
    return name.replace(",", ",\n ")


def _scale(curves: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    values = [value for curve in curves for value in curve if value is not None] or [0.0]
    top = max(0.0, *values)
    return max(min(-1.0, *values), -float(_DECADES)), top


def sparkline(curve: Sequence[float | None], bottom: float, top: float) -> str:
    """The lowest bar for what is at the bottom or below it, a space where the gradient is zero."""
    count = min(_WIDTH, len(curve))
    at = [round(i * (len(curve) - 1) / max(count - 1, 1)) for i in range(count)]
    bars = []
    for value in (curve[i] for i in at):
        if value is None:
            bars.append(" ")
            continue
        height = (value - bottom) / (top - bottom)
        bars.append(_BARS[min(max(int(height * len(_BARS)), 0), len(_BARS) - 1)])
    return "".join(bars)
