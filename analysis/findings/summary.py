"""An arm's runs reduced to one row, and arms compared with one another."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data import columns
from analysis.data.columns import frame
from analysis.data.runs import ENDED, Results
from analysis.data.tasks import Task, number
from analysis.data.wording import short
from analysis.statistics.few_runs import (
    half_life,
    iqm,
    iqm_interval,
    probability_of_improvement,
)
from analysis.statistics.importance import importance
from analysis.statistics.survival import kaplan_meier
from analysis.statistics.two_level import solved_over_searches

INTERVAL_FROM = 5  # runs; of fewer, a bootstrap interval pretends to know more than their range
CONFIRMED = ("solved", "budget", "diverged")  # ended by itself, well or badly


def summarize(results: Results, generator: np.random.Generator) -> pd.DataFrame:
    """A row an arm, in the order of the arms; see `columns.SUMMARY`."""
    rows = [_summarize(results, arm, generator) for arm in results.arms.to_dict("records")]
    return frame(rows, columns.SUMMARY)


def _summarize(
    results: Results, arm: dict[str, Any], generator: np.random.Generator
) -> dict[str, Any]:
    trials = results.trials[results.trials["arm"] == arm["arm"]]
    every = results.confirmations[results.confirmations["arm"] == arm["arm"]]
    runs = every[every["outcome"].isin(CONFIRMED)]
    chosen = trials[trials["chosen"]]
    outcomes = trials["outcome"].value_counts()
    solved = int(runs["solved"].sum())
    solved_at = runs.loc[runs["solved"], "steps_to_solve"]
    rate = solved_over_searches([own["solved"] for _, own in runs.groupby("search")]).interval
    # A diverged run without a test loss is no missing value: it is worse than any loss.
    losses = runs["test_loss"].where(runs["test_loss"].notna(), math.inf).to_numpy(dtype=float)
    metrics = runs["test_metric"].dropna().to_numpy(dtype=float)
    interval = (
        iqm_interval([losses], generator)
        if len(losses) >= INTERVAL_FROM
        else iqm_interval([], generator)
    )
    flows, source = (runs, "confirmations") if len(runs) else (chosen, "chosen trial")
    both = pd.concat([trials, every])
    return {
        **{name: arm[name] for name in ("arm", "task", "architecture", "planned", "arm_run_id")},
        "trials": int(trials["outcome"].isin(ENDED).sum()),
        **{name: int(outcomes.get(name, 0)) for name in ("solved", "pruned", "diverged", "failed")},
        "out_of_budget": int(outcomes.get("budget", 0)),
        "lost": bool(
            trials["outcome"].isin(("diverged", "failed")).sum() >= max(arm["planned"], 1)
        ),
        "unfinished": int(outcomes.get("running", 0) + outcomes.get("interrupted", 0)),
        "confirmations": len(runs),
        "confirmed": solved,
        "confirmed_low": rate.low,
        "confirmed_high": rate.high,
        "met_on_test": _met_on_test(results.tasks[arm["task"]], runs[runs["solved"]]),
        "confirmations_diverged": int((runs["outcome"] == "diverged").sum()),
        "confirmations_failed": int((every["outcome"] == "failed").sum()),
        "test_loss_iqm": iqm(losses),
        "test_loss_low": interval.low,
        "test_loss_high": interval.high,
        "test_loss_min": losses.min(initial=math.inf) if len(losses) else math.nan,
        "test_loss_max": losses.max(initial=-math.inf) if len(losses) else math.nan,
        "test_metric_iqm": iqm(metrics),
        "test_metric_min": metrics.min() if len(metrics) else math.nan,
        "test_metric_max": metrics.max() if len(metrics) else math.nan,
        "median_steps_to_solve": _median_steps(runs),
        "steps_to_solve_min": float(solved_at.min()),
        "steps_to_solve_max": float(solved_at.max()),
        "half_life_init": half_life(float(flows["log_slope_init"].median())),
        "half_life_final": half_life(float(flows["log_slope_final"].median())),
        "half_life_runs": source if len(flows) else "",
        "parameters": float(both["parameters"].median()),
        "seconds_per_1000_updates": 1000 * float(both["seconds_per_step"].median()),
        "best_score": float(chosen["score"].min()) if len(chosen) else math.nan,
        "chosen": "; ".join(_configuration(results, row) for row in chosen.to_dict("records")),
        "chosen_run_id": " ".join(chosen["run_id"]),
        "confirmation_run_ids": " ".join(every["run_id"]),
    }


def times_to_solve(runs: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Steps to solve of runs that ended, and which solved; the others stand at their full budget.

    A diverged run can solve no more, so it counts as unsolved to the end and not as one that
    stopped early for no reason.
    """
    solved = runs["solved"].to_numpy(dtype=bool)
    done = runs["steps_to_solve"].fillna(runs["steps"]).to_numpy(dtype=float)
    budget = runs["budget"].fillna(runs["steps"]).to_numpy(dtype=float)
    return np.nan_to_num(np.where(solved, done, budget)), solved


def _met_on_test(task: Task, solved: pd.DataFrame) -> float:
    met = [
        task.met(loss, metric) if math.isnan(recorded) else bool(recorded)
        for loss, metric, recorded in zip(
            solved["test_loss"], solved["test_metric"], solved["test_met"], strict=True
        )
    ]
    return math.nan if None in met else float(sum(map(bool, met)))


def _median_steps(runs: pd.DataFrame) -> float:
    if runs.empty:
        return math.nan
    median = kaplan_meier(*times_to_solve(runs)).median
    return math.inf if median is None else median


def _configuration(results: Results, row: dict[str, Any]) -> str:
    settings = []
    for name in results.searched:
        value = row[f"param.{name}"]
        if _applies(value, results.searched[name]):
            parsed = number(value)
            settings.append(f"{name} = {value if math.isnan(parsed) else short(parsed)}")
    return ", ".join(settings)


@lru_cache(maxsize=1)
def importances(results: Results, seed: int = 0) -> pd.DataFrame:
    """A row for each arm and searched parameter; one with a refusal where nothing can be said."""
    rows: list[dict[str, Any]] = []
    generator = np.random.default_rng(seed)
    for arm in results.arms.to_dict("records"):
        trials = results.trials[results.trials["arm"] == arm["arm"]]
        trials = trials[trials["score"].notna()]
        inputs = pd.DataFrame(
            {
                name: _scaled(trials[f"param.{name}"], spec)
                for name, spec in results.searched.items()
            }
        )
        # A parameter that this arm does not have ("none" throughout) is not one that did not matter.
        inputs = inputs.dropna(axis="columns", how="all")
        found = importance(inputs, trials["score"], generator)
        where = {name: arm[name] for name in ("arm", "task", "architecture", "arm_run_id")}
        common = {**where, "r2": found.r2, "trials": found.trials, "refusal": found.refusal}
        if found.refusal:
            rows.append({**common, "parameter": "", "fraction": math.nan})
        rows += [
            {**common, "parameter": name, "fraction": value}
            for name, value in found.fractions.items()
        ]
    return frame(rows, columns.IMPORTANCE)


def _applies(value: str, spec: Any) -> bool:
    """A parameter that a run does not have reads "none"; so does a choice of that name."""
    return value != "none" or "none" in (spec.get("values") or ())


def _scaled(values: pd.Series, spec: Any) -> pd.Series:
    """On the scale it was searched on; NaN where it did not apply; choices as text."""
    present = values.where([_applies(value, spec) for value in values])
    numeric = present.map(number).astype(float)
    if numeric.notna().sum() < present.notna().sum():
        return present
    if spec.get("log_below_one"):
        return np.log(1 - numeric)
    return np.log(numeric) if spec.get("log") else numeric


def ranks(runs: pd.DataFrame) -> pd.Series:
    """Runs of one task from best to worst, equal where they are equally good.

    Solved before not, sooner before later; of those that did not, the lower test loss first. A run
    stops when it has solved its task, so how far its loss is below the criterion says nothing.
    """
    late = runs["steps_to_solve"].where(runs["solved"], math.inf)
    loss = runs["test_loss"].fillna(math.inf).where(~runs["solved"], -math.inf)
    order = pd.DataFrame({"late": late, "loss": loss})
    return order.groupby(["late", "loss"], sort=True).ngroup().astype(float)


def pairs(results: Results) -> pd.DataFrame:
    """P(X better than Y), see `ranks`, for every two architectures on a task, over confirmations."""
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED)]
    rows = []
    for task in results.tasks:
        own = runs[runs["task"] == task]
        places = dict(iter(ranks(own).groupby(own["architecture"], sort=False)))
        rows += [
            {
                "task": task,
                "architecture": x,
                "other": y,
                "probability": probability_of_improvement(places[x], places[y]),
                "runs": len(places[x]),
                "other_runs": len(places[y]),
            }
            for x in places
            for y in places
            if x != y
        ]
    return frame(rows, columns.PAIRS)
