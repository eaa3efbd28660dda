"""Which of an arm's runs count: the last attempts, the chosen trials, their confirmations."""

import math
from typing import Any

Row = dict[str, Any]


def latest_attempts(rows: list[Row], notices: list[str]) -> list[Row]:
    """One run a trial: of several attempts (study/arm/number/attempt) the last."""
    latest: dict[str, Row] = {}
    for row in rows:
        trial, _, attempt = row["trial_key"].rpartition("/")
        row["attempt"] = int(attempt) if attempt.isdigit() else 0
        name = trial or row["run_id"]
        if name not in latest or row["attempt"] >= latest[name]["attempt"]:
            latest[name] = row
    if repeated := len(rows) - len(latest):
        notices.append(f"{repeated} earlier attempt(s) at trials that were run again are left out.")
    return list(latest.values())


def choose(trials: list[Row], searches: list[Row], notices: list[str]) -> None:
    """Mark each search's chosen trial: the one its run's tag names, else the one of the lowest score."""
    for arm in searches:
        own = [row for row in trials if _search_of(row) == _search_of(arm)]
        named = [row for row in own if row["trial_key"] == arm["best_trial_key"] != ""]
        scored = [
            row
            for row in own
            if row["outcome"] in ("solved", "budget") and not math.isnan(row["score"])
        ]
        if arm["best_trial_key"] and not named:
            notices.append(f"The best trial of {arm['slug']} ({arm['best_trial_key']}) has no run.")
        for row in named or sorted(scored, key=lambda row: row["score"])[:1]:
            row["chosen"] = True
            arm["best_trial_key"] = row["trial_key"]


def of_chosen(confirmations: list[Row], searches: list[Row]) -> list[Row]:
    """Those of the trials that are chosen now."""
    chosen = {_search_of(arm): arm["best_trial_key"] for arm in searches}
    return [
        row | {"chosen": True}
        for row in each_once(confirmations)
        if row["confirms"] in ("", chosen[_search_of(row)])
    ]


def each_once(rows: list[Row]) -> list[Row]:
    """Of runs with the same key one, as one that came back in MLflow counts once."""
    return list({row["trial_key"]: row for row in rows}.values())


def as_one(searches: list[Row]) -> list[Row]:
    """A row an arm: that of its first search, with how many searches it has and the trials of all."""
    arms: dict[str, Row] = {}
    for row in searches:
        arm = arms.setdefault(row["arm"], {**row, "searches": 0, "planned": 0.0})
        arm["searches"] += 1
        arm["planned"] += row["planned"]
    return list(arms.values())


def _search_of(row: Row) -> tuple[str, int]:
    return row["arm"], row["search"]
