"""What a network's matrices and forget biases are before anything is learned."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from analysis.data.runs import Results
from analysis.data.wording import counted, short
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.placement import mark_above

RADIUS, SIGMA, BOUND = "spectral_radius_init", "largest_singular_value_init", "gradient_bound_init"
SHORTEST, TYPICAL, LONGEST = "timescale_min_init", "timescale_median_init", "timescale_max_init"
SHOWN = (RADIUS, SIGMA, BOUND, SHORTEST, TYPICAL, LONGEST)
MEASURED = "measured"  # the gradient's factor a step of lag, from the slope of its log norm
WORDS = {RADIUS: "spectral radius", SIGMA: "largest singular value", BOUND: "γσ"} | {
    MEASURED: "measured factor a step back",
    TYPICAL: "timescale of the gate that keeps, in steps",
}
ALIKE = 1.25  # times; the spectral radii of two draws of 32 units differ by a tenth
LEAST = 0.1  # a step back at which nothing is left soon; and 0 has no place on the axis
ORDERED_FROM = 5  # architectures; the order of fewer agrees with any other too easily

Looks = dict[str, style.Look]


@figure("at_the_start", "What the network starts with", order=25, chapter="Gradient flow")
def at_the_start(results: Results) -> Drawing:
    """A row an architecture; tasks on which all start alike share their panels."""
    runs = _started(results)
    if runs.empty:
        raise Missing("No confirmation and no chosen trial has an audit of its untrained network.")
    if _alike(runs):
        raise Missing(_in_words(runs))
    looks = style.looks(results.architectures)
    gated = runs[runs[TYPICAL].notna()]
    matrices = _by_tasks(results, runs[runs[SIGMA].notna()], [RADIUS, SIGMA, BOUND, MEASURED])
    timescales = _by_tasks(results, gated, [SHORTEST, TYPICAL, LONGEST])
    heights = [_height(part) for _, part in [*matrices, *timescales]]
    drawn, axes = style.rows([2] * len(matrices) + [1] * len(timescales), heights)
    for tasks, part in matrices:
        left, right, *axes = axes
        for panel in (left, right):
            panel.set_xscale("log")
            style.named_rows(panel, _names(part, results.architectures), labelled=panel is left)
        _matrix(left, part, looks)
        _step_back(right, part, looks)
        left.set_title(_titled(results, tasks))
    for tasks, part in timescales:
        panel, *axes = axes
        panel.set_xscale("log")
        style.named_rows(panel, _names(part, results.architectures))
        _timescale(panel, part, looks, _lengths(results, tasks))
        panel.set_title(_titled(results, tasks), pad=16)
    style.legend_below(drawn, style.points_legend())
    return Drawing(
        drawn,
        _caption(runs),
        [f"init/{name.removesuffix('_init')}" for name in SHOWN if runs[name].notna().any()]
        + ["gradient_flow/init/log_slope_per_step"],
        runs["run_id"],
    )


def _started(results: Results) -> pd.DataFrame:
    """Confirmations and chosen trials that have an audit; of those, all that is drawn, positive."""
    runs = pd.concat([results.confirmations, results.trials[results.trials["chosen"]]])
    runs = runs[runs[[SIGMA, TYPICAL]].notna().any(axis=1)].reset_index(drop=True)
    runs[MEASURED] = np.exp(runs["log_slope_init"])
    drawn = [RADIUS, SIGMA, BOUND, MEASURED]
    runs[drawn] = runs[drawn].clip(lower=LEAST)
    return runs


def _alike(runs: pd.DataFrame) -> bool:
    """Whether on every task all architectures start with about the same numbers."""
    return all(_agree(own, "architecture", list(WORDS)) for _, own in runs.groupby("task"))


def _agree(runs: pd.DataFrame, by: str, names: list[str]) -> bool:
    """Whether the groups' medians have the same numbers, and those within `ALIKE`."""
    medians = runs.groupby(by)[names].median()
    known = medians.notna()
    spread = medians.max() / medians.min()
    return bool((known.all() | ~known.any()).all() and (spread.dropna() <= ALIKE).all())


def _by_tasks(
    results: Results, runs: pd.DataFrame, names: list[str]
) -> list[tuple[list[str], pd.DataFrame]]:
    """The runs, in groups of tasks on which each architecture has about the same numbers."""
    groups: list[list[str]] = []
    for task in results.tasks:
        if not (runs["task"] == task).any():
            continue
        for group in groups:
            both = runs[runs["task"].isin([*group, task])]
            if all(_agree(own, "task", names) for _, own in both.groupby("architecture")):
                group.append(task)
                break
        else:
            groups.append([task])
    return [(group, runs[runs["task"].isin(group)]) for group in groups]


def _in_words(runs: pd.DataFrame) -> str:
    medians = runs[list(WORDS)].median().dropna()
    numbers = ", ".join(f"{WORDS[str(name)]} {short(value)}" for name, value in medians.items())
    architectures = runs["architecture"].nunique()
    who = "The one architecture starts" if architectures == 1 else "All architectures start alike,"
    return f"{who} with (medians of {counted(len(runs), 'run')}): {numbers}."


def _height(runs: pd.DataFrame) -> float:
    return 1.05 + 0.24 * runs["architecture"].nunique()


def _titled(results: Results, tasks: list[str]) -> str:
    everything = len(tasks) == len(results.tasks) > 1
    return "all tasks" if everything else style.plain(", ".join(tasks), 44)


def _lengths(results: Results, tasks: list[str]) -> list[float]:
    found = (results.tasks[task].span for task in tasks)
    return sorted({length for length in found if length is not None and length > 0})


def _names(runs: pd.DataFrame, architectures: Sequence[str]) -> list[str]:
    return [name for name in architectures if (runs["architecture"] == name).any()]


def _points(
    panel: Axes, runs: pd.DataFrame, column: str, looks: Looks, marker: str = "o", shift: float = 0
) -> None:
    """Of every architecture in its row, a little above or below its middle."""
    for row, name in enumerate(_names(runs, list(looks))):
        values = runs.loc[runs["architecture"] == name, column]
        hollow = {"markerfacecolor": "white"} if column == RADIUS else {}
        shape = "<" if values.median() <= LEAST else marker
        style.points(panel, row + shift, values, looks[name], shape, **hollow)


def _matrix(panel: Axes, runs: pd.DataFrame, looks: Looks) -> None:
    _points(panel, runs, SIGMA, looks, shift=-0.16)
    _points(panel, runs, RADIUS, looks, shift=0.16)
    _around_one(panel, runs[[RADIUS, SIGMA]])
    panel.set_xlabel("recurrent matrix: singular value ●,\neigenvalue ○, the largest of each")


def _step_back(panel: Axes, runs: pd.DataFrame, looks: Looks) -> None:
    """The bound on the factor of the gradient's norm a step, and the factor measured."""
    _points(panel, runs, BOUND, looks, shift=-0.16)
    _points(panel, runs, MEASURED, looks, "x", shift=0.16)
    _around_one(panel, runs[[BOUND, MEASURED]])
    panel.set_xlabel("factor of the gradient's norm a step\nback: at most γσ ●, measured ×")
    if runs[BOUND].notna().any():
        panel.axvspan(panel.get_xlim()[0], 1, color=style.MUTED, alpha=0.1, linewidth=0, zorder=0)
        panel.annotate(
            "γσ below 1: the gradient must vanish",
            xy=(0, 1),
            xycoords="axes fraction",
            xytext=(0, 3),
            textcoords="offset points",
            va="bottom",
            color=style.MUTED,
            fontsize=style.FONT - 0.5,
        )


def _around_one(panel: Axes, values: pd.DataFrame) -> None:
    """An axis from a half or less to 2 or more."""
    panel.axvline(1, color=style.MUTED, linewidth=1.0, linestyle="--", zorder=1)
    panel.set_xlim(min(values.min().min() / 1.1, 0.45), max(values.max().max() * 1.1, 2.2))
    style.logarithmic(panel.xaxis)


def _timescale(panel: Axes, runs: pd.DataFrame, looks: Looks, lengths: list[float]) -> None:
    """From the shortest to the longest of all units, and each run's median."""
    for row, name in enumerate(_names(runs, list(looks))):
        own = runs[runs["architecture"] == name]
        panel.plot(
            [own[SHORTEST].min(), own[LONGEST].max()],
            [row, row],
            color=looks[name].color,
            linewidth=5,
            alpha=0.3,
            solid_capstyle="butt",
        )
    _points(panel, runs, TYPICAL, looks)
    known = [runs[SHORTEST].min(), runs[LONGEST].max(), *lengths]
    low, high = min(known), max(known)
    panel.set_xlim(low / 1.3, high * 1.3)
    style.logarithmic(panel.xaxis)
    panel.set_xlabel("timescale 1 + eᵇ of the gate that keeps the state, steps")
    mark_above(panel, "length", lengths, color=style.MUTED, fontsize=style.FONT - 0.5)


def _caption(runs: pd.DataFrame) -> str:
    text = f"""The untrained networks of each arm's chosen trial and confirmations. Left: the spectral radius
        (largest eigenvalue in size) and the largest singular value σ of the recurrent matrix U, of
        several the largest; the two differ where U is not normal. Right: by what factor a step back
        in time multiplies the gradient's norm. Where the state passes through φ(U h + …) alone it is
        at most γσ, with γ the steepest slope of φ (1 for tanh and ReLU, 1/4 for the sigmoid): below
        1 suffices for the gradient to vanish, above 1 is necessary for it to explode, and not
        enough (Pascanu, Mikolov & Bengio, 2013, On the difficulty of training recurrent neural
        networks). Gates and leaks have no such bound. Measured is the fitted factor a step of the
        figure "Gradient norm against lag", before training.{_order(runs)}"""
    if runs[TYPICAL].notna().any():
        text += """ Below: for how many steps the forget gate, or an update gate, keeps a state at rest,
            1 + eᵇ with b its bias (Tallec & Ollivier, 2018); the bar goes from the shortest to the
            longest unit, a point is a run's median unit. Dotted: the length of the sequences. A
            state that is to last must come near it."""
    if (runs[[RADIUS, SIGMA, BOUND, MEASURED]] <= LEAST).any().any():
        text += f" What is below {LEAST:g} is drawn there, as a triangle."
    return text


def _order(runs: pd.DataFrame) -> str:
    """How well the spectral radius foretells the measured factor, where there is a bound."""
    bound = runs[runs[BOUND].notna() & runs[MEASURED].notna()]
    arms = bound.groupby("arm")[[RADIUS, MEASURED]].median()
    if bound["architecture"].nunique() < ORDERED_FROM or (arms.nunique() < 2).any():
        return ""
    found = stats.spearmanr(arms[RADIUS], arms[MEASURED]).statistic
    return f""" Over the {len(arms)} arms with a bound, the order by spectral radius and the order by measured
        factor have a rank correlation of {found:.2f} (Spearman; 1 is the same order)."""
