"""How a trained network moves around the states at which it rests, or nearly so."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from analysis.data.probe_files import FixedPoints, RestPoint
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import counted, listing, short
from analysis.figures import Drawing, Missing, figure, small_multiples, style
from analysis.figures.small_multiples import Arm, named

LEADING = 32  # eigenvalues of each point; the rest are small
FURTHEST = 1.5  # shown: further out is further than memory needs
NEAREST = 1.15  # to the right of the circle at least

KINDS: Mapping[str, tuple[str, bool, str]] = {  # marker, hollow, label
    "quiet": ("o", False, "fixed point, where nothing grows"),
    "unstable": ("X", False, "fixed point, unstable"),
    "slow": ("o", True, "slow point"),
}


@figure("slow_points", "Eigenvalues at fixed and slow points", order=35, chapter="Gradient flow")
def slow_points(results: Results) -> Drawing:
    """A panel an arm: eigenvalues of the trained network's linearizations, in the complex plane."""
    found = results.probed.of(FixedPoints, "best")
    arms = {
        arm: own
        for arm, own in small_multiples.by_arm(results, found).items()
        if any(_eigenvalues(point).size for f in own for point in f.finding.points)
    }
    if not found:
        raise Missing(
            "No confirmation and no chosen trial was searched for fixed points (probe fixed_points)."
        )
    if not arms:
        raise Missing("No fixed point and no slow point was found in any run.")
    looks = style.looks(results.architectures)
    panels = small_multiples.panels(results, list(arms), "real part", "imaginary part", height=1.95)
    edge = _edge([point for own in arms.values() for f in own for point in f.finding.points])
    for arm, panel in panels.by_arm.items():
        _plane(panel, edge)
        for kind, (marker, hollow, _) in KINDS.items():
            _scatter(panel, arms[arm], kind, looks[arm[1]].color, marker, hollow, edge)
    style.legend_below(panels.figure, _legend())
    shown = [f for arm in panels.by_arm for f in arms[arm]]
    beyond = any(
        (np.abs(_eigenvalues(point)) > edge).any() for f in shown for point in f.finding.points
    )
    outside = f" What is further out than {edge:g} is drawn at that distance." if beyond else ""
    return Drawing(
        panels.figure,
        f"""Eigenvalues of ∂F/∂s where the trained network, under constant input, stands still (a
        fixed point) or moves slowest (a slow point), of all runs of an arm, the {LEADING} largest of each
        point (Sussillo & Barak, 2013). On the dotted unit circle a direction neither decays nor
        grows: near it, within, the network holds what it must remember for -1/ln|λ| steps; outside it a
        direction grows. Off the real axis the state turns as it moves. A slow point has 1 among its
        eigenvalues by construction. {_shown(results, arms)}{outside}{panels.said()}""",
        ["file fixed_points.json"],
        [f.run_id for f in shown],
    )


def _kind(point: RestPoint) -> str:
    if point.kind == "slow":
        return "slow"
    return "unstable" if point.unstable_directions else "quiet"


def _eigenvalues(point: RestPoint) -> np.ndarray:
    return np.array([complex(*pair) for pair in point.eigenvalues[:LEADING]], dtype=complex)


def _edge(points: Sequence[RestPoint]) -> float:
    furthest = max(
        (float(np.abs(e).max()) for p in points if (e := _eigenvalues(p)).size), default=1
    )
    return min(max(furthest, NEAREST), FURTHEST)


def _plane(panel: Axes, edge: float) -> None:
    panel.add_patch(Circle((0, 0), 1, fill=False, color=style.INK, linestyle=":", linewidth=0.9))
    panel.set_xlim(-1.08 * edge, 1.08 * edge)
    panel.set_ylim(-1.08 * edge, 1.08 * edge)
    panel.set_aspect("equal")
    panel.set_xticks([-1, 0, 1])
    panel.set_yticks([-1, 0, 1])


def _scatter(
    panel: Axes,
    found: Sequence[Found[FixedPoints]],
    kind: str,
    color: str,
    marker: str,
    hollow: bool,
    edge: float,
) -> None:
    values = [_eigenvalues(p) for f in found for p in f.finding.points if _kind(p) == kind]
    if not values:
        return
    every = np.concatenate(values)
    every = every * np.minimum(1, edge / np.maximum(np.abs(every), 1e-300))
    panel.plot(
        every.real,
        every.imag,
        marker,
        color=color,
        markerfacecolor="none" if hollow else color,
        markeredgewidth=0.8 if hollow else 0,
        markersize=3.5 if marker == "o" else 4.5,
        alpha=0.6,
    )


def _legend() -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            marker=marker,
            linestyle="none",
            color=style.MUTED,
            markerfacecolor="none" if hollow else style.MUTED,
            label=label,
        )
        for marker, hollow, label in KINDS.values()
    ]


def _shown(results: Results, arms: Mapping[Arm, Sequence[Found[FixedPoints]]]) -> str:
    """How many points there are, and where the longest memory at a fixed point is."""
    findings = [f.finding for own in arms.values() for f in own]
    fixed = sum(f.stable + f.marginal + f.unstable for f in findings)
    unstable = sum(f.unstable for f in findings)
    slow = sum(f.slow for f in findings)
    counts = [f"{counted(fixed, 'fixed point')} ({unstable} unstable)", counted(slow, "slow point")]
    text = f"In {counted(len(findings), 'run')} {listing(counts)} were found."
    times: dict[Arm, float] = {}
    for arm, own in arms.items():
        quiet = [p for f in own for p in f.finding.points if _kind(p) == "quiet"]
        known = [math.inf if t is None else t for p in quiet for t in p.timescales]
        if known:
            times[arm] = max(known)
    if not times:
        return f"{text} At each fixed point that was kept some direction grows." if fixed else text
    longest = max(times, key=lambda arm: times[arm])
    if math.isinf(times[longest]):
        lasting = [named(results, arm) for arm, t in times.items() if math.isinf(t)]
        who = listing(lasting) if len(lasting) < 4 else counted(len(lasting), "arm")
        return f"{text} A direction that does not decay at all, where none grows, is in {who}."
    return f"""{text} The longest timescale at a fixed point where nothing grows is that of
        {named(results, longest)}, {short(times[longest])} steps."""
