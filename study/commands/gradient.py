"""`longlag gradient`: how far back the gradient of untrained networks reaches, without a sweep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from study.base.errors import UserError
from study.base.limits import shown
from study.probes.state_gradients import VANISHING, Curve, LaggedGradients, state_gradients
from study.trial.config import TrialConfig, merge, read_settings
from study.trial.construction import build_model
from study.trial.probing import PROBED_SEQUENCES

LENGTH = 200
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24  # letters of a curve
_DECADES = 12  # that a curve shows below the gradient at lag 0; it is level with less than one


@dataclass(frozen=True)
class Untrained:
    """A network by the name that the user gave it, and what was found; None where it is not finite."""

    name: str
    config: TrialConfig
    found: LaggedGradients | None


def measure(names: Sequence[str], settings: Sequence[str], length: int | None) -> list[Untrained]:
    """Of each network: "lstm", or with settings of its own, "elman,model.phi=relu".

    ``settings`` are those of all of them. The task is adding at LENGTH unless they say otherwise.
    Raises UserError before anything is measured.
    """
    if len(set(names)) < len(names):
        raise UserError("a network is named twice")
    configs = [_configured(name, settings, length) for name in names]
    for config in configs:
        config.task.check_data()
    return [
        Untrained(name, config, _measured(config))
        for name, config in zip(names, configs, strict=True)
    ]


def _configured(name: str, settings: Sequence[str], length: int | None) -> TrialConfig:
    cell, *own = name.split(",")
    common = read_settings(settings)
    if "model.cell" in common:
        raise UserError("the networks name their cells; leave model.cell out of --set")
    flat = merge(common, read_settings(own))
    if "model.cell" in flat:
        raise UserError(f"{shown(name)} names its cell twice")
    if length is None and "task.name" not in flat and "task.length" not in flat:
        length = LENGTH
    if length is not None:
        if "task.length" in flat:
            raise UserError("the length is set twice, by --length and by task.length")
        flat["task.length"] = length
    return TrialConfig.from_flat({**flat, "model.cell": cell})


def _measured(config: TrialConfig) -> LaggedGradients | None:
    batch = config.task.validation().take(slice(PROBED_SEQUENCES))
    return state_gradients(build_model(config), config.task, batch)


def page(networks: Sequence[Untrained]) -> RenderableType:
    """A line for each with its curve, then a sentence for each."""
    curves = [relative(n.found.whole) for n in networks if n.found]
    bottom, top = _scale(curves)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("network", "gradient against lag", "at lag", "left", "verdict"):
        table.add_column(heading, no_wrap=heading != "network", overflow="fold")
    for network in networks:
        found = network.found
        if found is None:
            table.add_row(_over_lines(network.name), "not finite", "", "", "")
            continue
        line = sparkline(relative(found.whole), bottom, top)
        left = _ratio(found)
        verdict = found.verdict or "no gradient"
        table.add_row(_over_lines(network.name), line, str(found.lag), left, verdict)
    scale = (
        "From lag 0 at the left to the longest; the height is log₁₀ of the gradient's norm over that at "
        f"lag 0, from {bottom:.3g} or less to {top:.3g}. It is the gradient, to all states, of the loss "
        f"at the last step, the mean over {PROBED_SEQUENCES} sequences of an untrained network."
    )
    sentences = [Text(explained(network)) for network in networks]
    parts = [part for sentence in sentences for part in ("", sentence)]
    return Group(table, "", Text(scale, style="dim"), *parts)


def _over_lines(name: str) -> str:
    """A network's settings below its cell, as a line of a terminal has no room for them."""
    return name.replace(",", ",\n ")


def relative(curve: Curve) -> list[float | None]:
    """log₁₀ of the mean norm over that at lag 0; all None where there is none at lag 0."""
    first = curve.mean[0]
    if first is None:
        return [None] * len(curve.mean)
    return [None if value is None else value - first for value in curve.mean]


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


def _ratio(found: LaggedGradients) -> str:
    ratio = found.log10_ratio_at_lag
    if ratio is None:
        return "0" if found.verdict else ""
    return f"{10**ratio:.2g}" if abs(ratio) < 4 else f"10^{ratio:.0f}"


def explained(network: Untrained) -> str:
    """What the curve says of what the network can learn from, in one sentence."""
    name, found = network.name, network.found
    if found is None:
        return f"{name}: the gradient is not finite, so nothing can be learned from it."
    if found.verdict is None:
        return f"{name}: the loss at the last step has no gradient."
    if found.log10_ratio_at_lag is None:
        return (
            f"{name} vanishes: {found.lag} steps back the gradient is exactly zero, so an update "
            "hears nothing of what was read then."
        )
    ratio, left = found.log10_ratio_at_lag, _ratio(found)
    steps = abs(found.lag * math.log10(2) / ratio) if ratio else math.inf
    if found.verdict == "vanishing":
        return (
            f"{name} vanishes: {found.lag} steps back {left} of the last step's gradient is left, half "
            f"as much every {steps:.2g} steps in the mean; what was read more than about "
            f"{heard(found)} steps before the answer is less than a thousandth of it, and an update "
            "hardly hears of it."
        )
    if found.verdict == "exploding":
        return (
            f"{name} explodes: {found.lag} steps back the gradient is {left} times the last step's, "
            f"twice as much every {steps:.2g} steps in the mean; without clipping what was read first "
            "rules the update."
        )
    return (
        f"{name} keeps it: {found.lag} steps back {left} of the last step's gradient is left, so an "
        "update hears of all that was read."
    )


def heard(found: LaggedGradients) -> int:
    """The lag at which a thousandth is left for the first time, between lags that were kept a straight
    line in the logarithm."""
    edge = math.log10(VANISHING)
    curve = relative(found.whole)
    for i in range(1, len(curve)):
        before, value = curve[i - 1], curve[i]
        if value is None or before is None:
            return found.lags[i - 1]
        if value <= edge:
            part = (before - edge) / (before - value)
            return math.floor(found.lags[i - 1] + part * (found.lags[i] - found.lags[i - 1]))
    return found.lags[-1]
