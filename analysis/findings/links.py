"""How a trial's start and what it reached go together, over all trials of the search."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data import columns
from analysis.data.columns import frame
from analysis.data.runs import ENDED, Results
from analysis.data.wording import counted, listing
from analysis.statistics.multiplicity import holm
from analysis.statistics.rank_correlation import RankCorrelation, spearman, spearman_within

ALL, WITHIN, BETWEEN = "all trials", "within arms", "between arms"
LEVEL = 0.05
_SAME = ("the quantity", "what was reached")


@dataclass(frozen=True)
class Quantity:
    """A column of the trials, known before training; ``folded`` where its distance from 0 is ranked.

    ``more`` and ``less`` say what a larger and a smaller one is.
    """

    column: str
    metric: str
    measure: str
    more: str
    less: str
    folded: bool = False

    def ranked(self, runs: pd.DataFrame) -> pd.Series:
        return runs[self.column].abs() if self.folded else runs[self.column]


# The slope orders as the half-life does, and goes on where that is infinite.
QUANTITIES = (
    Quantity(
        "log_slope_init",
        "gradient_flow/init/log_slope_per_step",
        "half-life, by its slope",
        "a longer half-life",
        "a shorter half-life",
    ),
    Quantity(
        "largest_exponent_init",
        "conditioning/init/largest_exponent",
        "|λ₁|",
        "a λ₁ farther from 0",
        "a λ₁ nearer to 0",
        folded=True,
    ),
    Quantity(
        "step_log_condition_init",
        "conditioning/init/step_log_condition",
        "condition number",
        "a larger condition number",
        "a smaller condition number",
    ),
    Quantity(
        "step_log_rms_init",
        "conditioning/init/step_log_rms",
        "|ln RMS singular value|",
        "an RMS singular value farther from 1",
        "an RMS singular value nearer to 1",
        folded=True,
    ),
    Quantity(
        "log10_ratio_at_lag_init",
        "state_gradients/init/log10_ratio_at_lag",
        "gradient left at the lag",
        "more gradient left at the lag",
        "less gradient left at the lag",
    ),
)


def ended(results: Results, task: str) -> pd.DataFrame:
    """Every trial of the search on a task that has ended, failed ones too."""
    trials = results.trials
    return trials[(trials["task"] == task) & trials["outcome"].isin(ENDED)]


def reached(runs: pd.DataFrame) -> pd.Series:
    """How far trials of one task came, from 0 for the worst up, equal where equally far; NaN: failed.

    Solved before not, and with fewer updates before more. Of those that did not, the lower their best
    validation loss the better; a pruned one stands among them by its loss until it was stopped, perhaps
    too low, as it might have come further. Diverged ones are last, all alike, whatever loss they once
    had. A failed one ended by an error of the machine or of the program, and says nothing of its start.
    """
    solved, diverged = runs["outcome"] == "solved", runs["outcome"] == "diverged"
    late = runs["steps_to_solve"].fillna(runs["steps"]).where(solved, math.inf)
    loss = runs["validation_loss"].where(~diverged).fillna(math.inf).where(~solved, -math.inf)
    known = runs[runs["outcome"] != "failed"].index
    order = pd.DataFrame({"late": late, "loss": loss}).loc[known]
    place = order.groupby(["late", "loss"], sort=True).ngroup()
    return (place.max() - place).astype(float).reindex(runs.index)


def links(results: Results) -> pd.DataFrame:
    """A row for each task, quantity and scope; see `columns.LINKS`."""
    rows: list[dict[str, Any]] = []
    for task in results.tasks:
        runs = ended(results, task)
        own = [row for quantity in QUANTITIES for row in _rows(task, quantity, runs)]
        for scope in (ALL, WITHIN, BETWEEN):
            scoped = [row for row in own if row["scope"] == scope]
            for row, p in zip(scoped, holm([row["p"] for row in scoped]), strict=True):
                row["p_holm"] = p
        rows += own
    return frame(rows, columns.LINKS)


def _rows(task: str, quantity: Quantity, runs: pd.DataFrame) -> list[dict[str, Any]]:
    pairs = pd.DataFrame(
        {"x": quantity.ranked(runs), "y": reached(runs), "arm": runs["arm"]}
    ).dropna()
    medians = pairs.groupby("arm", sort=False)[["x", "y"]].median()
    outcomes = runs.loc[pairs.index, "outcome"].value_counts()
    common = {
        "task": task,
        "quantity": quantity.column,
        "measure": quantity.measure,
        **{name: int(outcomes.get(name, 0)) for name in ("solved", "pruned", "diverged")},
        "out_of_budget": int(outcomes.get("budget", 0)),
        "missing": len(runs) - len(pairs),
    }
    arms = len(medians)
    found = {
        ALL: (spearman(pairs["x"], pairs["y"], names=_SAME), arms),
        BETWEEN: (spearman(medians["x"], medians["y"], names=_SAME), arms),
    }
    inside = spearman_within(pairs["x"], pairs["y"], pairs["arm"], names=_SAME)
    found[WITHIN] = (inside, inside.strata)
    return [{**common, "scope": scope, **_told(*found[scope])} for scope in (ALL, WITHIN, BETWEEN)]


def _told(found: RankCorrelation, arms: int) -> dict[str, Any]:
    return {
        "rho": found.rho,
        "low": found.interval.low,
        "high": found.interval.high,
        "p": found.p,
        "n": found.pairs,
        "arms": arms,
        "refusal": found.refusal,
    }


def signed(value: float) -> str:
    """-0.42 with a minus sign as wide as a plus; two digits, as the intervals allow no more."""
    return f"{value:.2f}".replace("-", "−")


def with_interval(row: Any) -> str:
    """0.42 [0.20, 0.60]"""
    return f"{signed(row.rho)} [{signed(row.low)}, {signed(row.high)}]"


def finding(task_links: pd.DataFrame) -> str:
    """Which starts went with a better outcome on a task; nothing where no interval leaves out 0."""
    told = {scope: _clear(task_links, scope) for scope in (ALL, WITHIN)}
    if not any(told.values()):
        return ""
    parts = []
    if told[ALL]:
        parts.append(f"Over all trials of the search a better outcome went with {told[ALL]}.")
        parts.append(_between(task_links))
    looks = int(task_links.loc[task_links["scope"] == WITHIN, "rho"].notna().sum())
    if told[WITHIN]:
        parts.append(f"Among the trials of one arm it went with {told[WITHIN]}.")
        if not told[ALL]:
            parts.append("Over all arms together nothing is settled.")
    elif looks:
        parts.append(
            f"Among the trials of one arm nothing is settled (Holm's correction for "
            f"{counted(looks, 'quantity', 'quantities')}), so it may all be a matter of the arms, "
            "in whatever else these differ."
        )
    else:
        parts.append(
            "No arm alone has trials enough, or different ones, to say whether it holds there."
        )
    parts.append("A correlation is no cause.")
    return " ".join(part for part in parts if part)


def _clear(task_links: pd.DataFrame, scope: str) -> str:
    """Those whose interval leaves out 0 also after Holm's correction, in words."""
    by_column = {quantity.column: quantity for quantity in QUANTITIES}
    rows: Iterable[Any] = task_links[
        (task_links["scope"] == scope) & (task_links["p_holm"] < LEVEL)
    ].itertuples()
    return listing(
        [
            f"{by_column[row.quantity].more if row.rho > 0 else by_column[row.quantity].less} "
            f"(ρ = {with_interval(row)}, n = {row.n})"
            for row in rows
        ]
    )


def _between(task_links: pd.DataFrame) -> str:
    """A pooled correlation of few arms rests on few arms; their medians say on how few."""
    known = task_links[(task_links["scope"] == BETWEEN) & task_links["rho"].notna()]
    if known.empty or (known["p_holm"] < LEVEL).any():
        return ""
    return f"The medians of the {int(known['n'].max())} arms alone settle none of this."
