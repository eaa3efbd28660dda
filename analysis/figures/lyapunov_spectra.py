"""How fast small differences between states grow or shrink on the task, direction by direction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from analysis.data.probe_files import Lyapunov
from analysis.data.probed import Found
from analysis.data.runs import Results
from analysis.data.wording import counted, short
from analysis.figures import Drawing, Missing, figure, small_multiples, style
from analysis.figures.small_multiples import Arm, named

STAGES = {"init": "before training", "best": "after training"}
DEEPEST = 4.0  # nats a step below the highest that is shown: a factor of 55, at which nothing lasts
LEAST = 0.05  # nats a step that the scale has to both sides of 0 at least


@dataclass(frozen=True)
class Spectrum:
    """λ_1 ≥ … in nats a step with standard errors, NaN where there is no number; of so many runs."""

    exponents: NDArray[np.float64]
    errors: NDArray[np.float64]
    runs: int


@figure("lyapunov_spectra", "Lyapunov exponents", order=34, chapter="Gradient flow")
def lyapunov_spectra(results: Results) -> Drawing:
    """A panel an arm: exponents by index, before training ○ and after ●."""
    found = results.probed.of(Lyapunov, *STAGES)
    found = [f for f in found if any(value is not None for value in f.finding.exponents)]
    arms = {
        arm: {s: _spectrum(part) for s in STAGES if (part := [f for f in own if f.stage == s])}
        for arm, own in small_multiples.by_arm(results, found).items()
    }
    if not arms:
        raise Missing(
            "No confirmation and no chosen trial has Lyapunov exponents (probe lyapunov)."
        )
    looks = style.looks(results.architectures)
    panels = small_multiples.panels(results, list(arms), "index", "exponent,\nnats a step")
    low, high = _range([s for spectra in arms.values() for s in spectra.values()])
    for arm, panel in panels.by_arm.items():
        for shift, (stage, spectrum) in zip((-0.13, 0.13), arms[arm].items(), strict=False):
            _points(panel, spectrum, looks[arm[1]].color, stage == "init", shift, low)
        panel.axhline(0, color=style.INK, linewidth=0.8, linestyle=":", zorder=1)
        panel.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        panel.set_xlim(0.4, max(len(s.exponents) for s in arms[arm].values()) + 0.6)
        style.whole_numbers(panel)
    style.legend_below(panels.figure, _legend())
    deep = any(np.nanmin(s.exponents) < low for own in arms.values() for s in own.values())
    lost = any(np.isnan(s.exponents).any() for own in arms.values() for s in own.values())
    without = " A direction that a step maps to zero has no exponent, and no point." if lost else ""
    below = f" What is below {short(low, 2)} is drawn there, as a triangle." if deep else ""
    return Drawing(
        panels.figure,
        f"""The leading Lyapunov exponents of the network driven by the task's inputs: the mean
        logarithm of the factor by which a step stretches a small difference between two states, along
        each of as many directions (Engelken, Wolf & Abbott, 2023). Points are means over an arm's runs, with
        their standard error; of a single run, with that of its streams of inputs. Below the dotted line
        differences die out, and with them the gradient: at -0.1 by a half in 7 steps. At 0 they
        last; above it they grow, as in chaos. {_shown(results, arms)}{without}{below}{panels.said()}""",
        ["file lyapunov.json"],
        [f.run_id for f in found if (f.task, f.architecture) in panels.by_arm],
    )


def _spectrum(found: Sequence[Found[Lyapunov]]) -> Spectrum:
    """Of runs with different numbers of exponents as many as all have."""
    count = min(len(f.finding.exponents) for f in found)
    exponents = np.array([f.finding.exponents[:count] for f in found], dtype=float)
    if len(found) == 1:
        errors = np.array(found[0].finding.standard_errors[:count], dtype=float)
    else:
        errors = exponents.std(axis=0, ddof=1) / math.sqrt(len(found))
    return Spectrum(exponents.mean(axis=0), errors, len(found))


def _range(spectra: Sequence[Spectrum]) -> tuple[float, float]:
    known = np.concatenate([s.exponents[~np.isnan(s.exponents)] for s in spectra] + [np.zeros(1)])
    high = max(float(known.max()), LEAST)
    ends = [s.exponents - np.nan_to_num(s.errors) for s in spectra]
    low = min(-LEAST, *(float(np.nanmin(end)) for end in ends))
    return max(low, high - DEEPEST), high


def _points(
    panel: Axes, spectrum: Spectrum, color: str, hollow: bool, shift: float, low: float
) -> None:
    index = np.arange(1, len(spectrum.exponents) + 1) + shift
    deep = spectrum.exponents < low
    fill = "white" if hollow else color
    for rows, marker, errors in ((~deep, "o", spectrum.errors), (deep, "v", None)):
        panel.errorbar(
            index[rows],
            np.maximum(spectrum.exponents[rows], low),
            yerr=None if errors is None else np.nan_to_num(errors[rows]),
            fmt=marker,
            color=color,
            markerfacecolor=fill,
            markersize=4,
            elinewidth=1.0,
            zorder=3,
        )


def _legend() -> list[Line2D]:
    def entry(label: str, fill: str) -> Line2D:
        line = Line2D([], [], label=label, marker="o", linestyle="none", color=style.MUTED)
        line.set_markerfacecolor(fill)
        return line

    return [entry("before training", "white"), entry("after training", style.MUTED)]


def _shown(results: Results, arms: Mapping[Arm, Mapping[str, Spectrum]]) -> str:
    """How many leading exponents differ from 0, and which is the nearest to it."""
    parts = []
    for stage, when in STAGES.items():
        first = {
            arm: spectra[stage]
            for arm, spectra in arms.items()
            if stage in spectra and not math.isnan(spectra[stage].exponents[0])
        }
        if not first:
            continue
        above = sum(s.exponents[0] > 2 * np.nan_to_num(s.errors[0]) for s in first.values())
        nearest = min(first, key=lambda arm: abs(first[arm].exponents[0]))
        value = short(round(float(first[nearest].exponents[0]), 4), 2)
        text = f"{when} λ_1 is above 0 by two standard errors in {above} of {counted(len(first), 'arm')}"
        if len(first) == 1:
            parts.append(f"{when} λ_1 is {value} in {named(results, nearest)}")
        else:
            parts.append(f"{text}, and nearest to 0 in {named(results, nearest)} ({value})")
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else "Not one leading exponent is a number."
