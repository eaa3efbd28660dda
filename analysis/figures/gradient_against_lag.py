"""How much of the gradient at the last step is left at earlier steps."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from analysis.data.probe_files import StateGradients
from analysis.data.runs import Results
from analysis.data.wording import counted, listing, steps_text
from analysis.figures import Drawing, Missing, figure, style
from analysis.statistics.few_runs import half_life

STAGES = {"init": "before training", "final": "after training"}
NAME = 26  # letters of an architecture, with its half-life a line below half a page
NAME_BESIDE = 8  # letters that leave room for another beside it
DECADES = 20  # shown below the top: what is smaller than 1e-20 of it carries nothing


@figure("gradient_against_lag", "Gradient norm against lag", order=30, chapter="Gradient flow")
def gradient_against_lag(results: Results) -> Drawing:
    """A row a task, columns before and after training; norms relative to the one at lag 0."""
    flows = results.shown(results.flows)
    flows = _relative(flows)
    flows["is_output"] = flows["state"] == flows["output"]
    tasks = [key for key in results.tasks if (flows["task"] == key).any()]
    if not tasks:
        raise Missing("No confirmation and no chosen trial has a gradient flow.")
    looks = style.looks(results.architectures)
    entries = flows.groupby("task")["architecture"].nunique().max()
    longest = max(len(style.plain(name, NAME)) for name in results.architectures)
    columns = 2 if longest <= NAME_BESIDE else 1
    drawn, axes = style.panels(
        2 * len(tasks), height=2.5 + 0.19 * -(-entries // columns), extra=0.3
    )
    runs = pd.concat([results.confirmations, results.trials]).set_index("run_id")
    spreads = _spreads(results, flows)
    for row, task in enumerate(tasks):
        for column, (stage, when) in enumerate(STAGES.items()):
            panel = axes[2 * row + column]
            part = flows[(flows["task"] == task) & (flows["stage"] == stage)]
            slopes = runs[f"log_slope_{stage}"]
            _panel(
                panel, part, looks, slopes, results.architectures, results.tasks[task].span, columns
            )
            for name in results.architectures:
                _band(panel, part, spreads.get((task, name, stage)), name, looks[name].color)
            _limit(panel, part)
            panel.set_title(style.plain(f"{task}, {when}" if len(tasks) > 1 else when, 34))
            panel.set_xlabel("lag, steps before the last")
            style.whole_numbers(panel)
        axes[2 * row].set_ylabel("gradient norm,\nrelative to lag 0")
    outputs = list(dict.fromkeys(flows.loc[flows["is_output"], "state"]))
    states = list(dict.fromkeys(flows.loc[~flows["is_output"], "state"]))
    if states:
        thin = Line2D([], [], color=style.MUTED, linewidth=0.9, label=f"thin: {', '.join(states)}")
        thick = Line2D(
            [],
            [],
            color=style.MUTED,
            linewidth=2.0,
            label=f"thick: {listing(outputs, 'or')}, the output",
        )
        style.legend_below(drawn, [thick, thin] if outputs else [thin])
    return Drawing(
        drawn,
        _caption(flows, outputs, states, by_sequences=bool(spreads)),
        [
            f"gradient_flow/{stage}/{state}"
            for stage in STAGES
            for state in dict.fromkeys([*outputs, *states])
        ]
        + [f"gradient_flow/{stage}/log_slope_per_step" for stage in STAGES]
        + ["file state_gradients.json"] * bool(spreads),
        flows["run_id"],
    )


def _relative(flows: pd.DataFrame) -> pd.DataFrame:
    """Norms over the same run's, stage's and state's norm at lag 0; those without one are left out."""
    first = flows[flows["lag"] == 0].set_index(["run_id", "stage", "state"])["norm"]
    first = first[~first.index.duplicated()].rename("first")
    joined = flows.join(first, on=["run_id", "stage", "state"])
    joined = joined[np.isfinite(joined["norm"]) & (joined["first"] > 0)]
    return joined.assign(relative=joined["norm"] / joined["first"])


def _panel(
    panel: Axes,
    part: pd.DataFrame,
    looks: dict[str, style.Look],
    slopes: pd.Series,
    architectures: list[str],
    span: float | None,
    columns: int,
) -> None:
    entries: list[Any] = []
    panel.set_yscale("log")
    for name in architectures:
        own = part[part["architecture"] == name]
        if own.empty:
            continue
        look = looks[name]
        for (is_output, _), group in own.groupby(["is_output", "state"], sort=False):
            table = group.pivot_table(index="lag", columns="run_id", values="relative")
            table = table.where(table > 0)  # exactly zero has no place on a logarithmic axis
            middle = table.median(axis=1)
            panel.plot(
                middle.index,
                middle,
                color=look.color,
                linestyle=look.dashes,
                linewidth=2.0 if is_output else 0.9,
            )
        life = half_life(float(slopes.reindex(own["run_id"].unique()).median()))
        entries.append(look.line(f"{style.plain(name, NAME)}: {steps_text(life, span)}"))
    if entries:
        # In inches, below the axis's label: a share of the height would change with the layout.
        below = ScaledTranslation(0, -0.43, panel.figure.dpi_scale_trans)
        panel.legend(
            handles=entries,
            title="half-life of the output's gradient, steps:",
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=panel.transAxes + below,
            ncols=columns,
            handlelength=2.4,
            columnspacing=1.0,
            fontsize=style.FONT - 0.5,
        )


def _spreads(results: Results, flows: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    """By task, architecture and stage: at each lag the quartiles over sequences of the norm of the cell's
    output, over the mean at lag 0; medians over runs. Those for whom the runs have no such file have none."""
    outputs = dict(zip(flows["run_id"], flows["output"], strict=True))
    parts: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for f in results.probed.of(StateGradients, *STAGES):
        curve = f.finding.states.get(outputs.get(f.run_id, ""))
        if curve is None or curve.mean[0] is None:
            continue
        logs = pd.DataFrame({"low": curve.low, "high": curve.high}, f.finding.lags, dtype=float)
        part = 10 ** (logs.fillna(-np.inf) - curve.mean[0]).clip(upper=100)
        parts.setdefault((f.task, f.architecture, f.stage), []).append(part)
    return {where: pd.concat(own).groupby(level=0).median() for where, own in parts.items()}


def _band(
    panel: Axes, part: pd.DataFrame, spread: pd.DataFrame | None, name: str, color: str
) -> None:
    """Over sequences where the runs say how they differ, else over the runs."""
    own = part[(part["architecture"] == name) & part["is_output"]]
    if spread is None and own["run_id"].nunique() > 1:
        table = own.pivot_table(index="lag", columns="run_id", values="relative")
        low, high = (0.0, 1.0) if table.shape[1] < 5 else (0.25, 0.75)
        spread = pd.DataFrame(
            {"low": table.quantile(low, axis=1), "high": table.quantile(high, axis=1)}
        )
    if spread is not None:
        # Exactly zero has no place on a logarithmic axis; a band goes down to its lower edge.
        lowest = spread["low"].clip(lower=1e-300)
        panel.fill_between(
            spread.index,
            lowest,
            spread["high"].clip(lower=1e-300),
            color=color,
            alpha=0.15,
            linewidth=0,
        )


def _limit(panel: Axes, part: pd.DataFrame) -> None:
    positive = part.loc[part["relative"] > 0, "relative"]
    if len(positive):
        top = float(positive.max())
        # At least two decades: what hardly changes shall look as if it hardly changed.
        bottom = min(float(positive.min()) / 2, top / 100)
        panel.set_ylim(max(bottom, top * 10.0**-DECADES), top * 3)
    style.logarithmic(panel.yaxis)


def _caption(
    flows: pd.DataFrame, outputs: list[str], states: list[str], *, by_sequences: bool
) -> str:
    runs = flows.groupby("arm")["run_id"].nunique()
    band = "all runs" if runs.max() < 5 else "the middle half of the runs"
    if by_sequences:
        band = "the middle half of the sequences"
    norms = listing([f"‖∂L/∂{state}‖" for state in outputs], "or")
    # An earlier version's runs do not say which of their states is the output.
    of = f"the cell's output, {norms}," if outputs else "a cell's states"
    text = f"""The norm of the loss's gradient with respect to {of} so many
        steps before the end, with the loss taken at the last step only and the norm divided by the
        one at the last step. Lines are medians over an arm's runs, bands span {band}. A line that
        falls straight loses the same factor each step: the gradient vanishes, and an event that
        far back cannot teach the network. A level line carries gradient across the whole sequence;
        a rising one explodes. Every panel has its own scale. After training means where the run
        stopped, a solved one as soon as it had solved. The half-life is ln 2 over the fitted slope
        of the log norm ("no decay" where it does not fall; "over 50": longer than a sequence of 50
        steps). Norms of zero are not drawn. {_shown(flows)}"""
    if by_sequences:
        text += """ A line above its band is carried by few of the sequences."""
    if states:
        text += f""" Thin lines of the same colour and dash are {", ".join(states)}, which such cells
            keep beside their output; for an LSTM the cell state c."""
    return text


def _shown(flows: pd.DataFrame) -> str:
    """What is left at each task's longest lag, in which architecture most and in which least."""
    several = flows["task"].nunique() > 1
    parts = []
    for task, own in flows.groupby("task", sort=False):
        longest = int(own["lag"].max())
        last = own[(own["lag"] == longest) & (own["is_output"] | ~own["is_output"].any())]
        told = [
            f"{when} {_extremes(left)}"
            for stage, when in STAGES.items()
            if len(
                left := last[last["stage"] == stage].groupby("architecture")["relative"].median()
            )
        ]
        where = f" on {task}" * several
        parts.append(f"{counted(longest, 'step')} back{where} {' and '.join(told)}")
    return f"Of the gradient at lag 0 there is left {'; '.join(parts)}."


def _extremes(left: pd.Series) -> str:
    if len(left) == 1:
        return f"{_factor(left.iloc[0])} in {left.index[0]}"
    least, most = left.idxmin(), left.idxmax()
    return f"from {_factor(left[least])} in {least} to {_factor(left[most])} in {most}"


def _factor(value: float) -> str:
    return "nothing" if value == 0 else style.power(float(f"{value:.0e}"))
