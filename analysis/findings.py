"""What came out, in sentences that claim no more than the intervals allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.runs import Results
from analysis.statistics import Interval
from analysis.tasks import Task
from analysis.wording import counted, listing, share, short, span, steps_text, whole


@dataclass(frozen=True)
class Finding:
    """The sentences about one task."""

    task: Task
    sentences: Sequence[str]


def findings(results: Results, summary: pd.DataFrame) -> list[Finding]:
    return [
        Finding(task, _about(task, summary[summary["task"] == key]))
        for key, task in results.tasks.items()
    ]


def _about(task: Task, arms: pd.DataFrame) -> list[str]:
    run = arms[arms["confirmations"] > 0]
    sentences = [_solved(run), *_separated(run), _speed(run), _loss(task, run)]
    if run.empty:
        sentences = [_unconfirmed(arms)]
    elif len(run) < len(arms):
        missing = list(arms.loc[arms["confirmations"] == 0, "architecture"])
        sentences.append(f"No confirmation runs yet: {listing(missing)}.")
    sentences += [_lost(arms), _half_lives(arms)]
    return [sentence for sentence in sentences if sentence]


def _solved(run: pd.DataFrame) -> str:
    """Best first: 'gru solved 3 of 3 confirmation runs [0.44, 1]; tanh 0 of 3 …'."""
    if run.empty:
        return ""
    ordered = run.assign(rate=run["confirmed"] / run["confirmations"]).sort_values(
        ["rate", "confirmations"], ascending=False, kind="stable"
    )
    parts: list[str] = []
    for key, group in ordered.groupby(
        ["confirmed", "confirmations", "confirmed_low", "confirmed_high"], sort=False
    ):
        names = list(group["architecture"])
        solved = "" if parts else " solved"
        each = " each" if len(names) > 1 else ""
        of_what = "" if parts else " confirmation runs"
        count, _, interval = share(*key).partition(" [")
        parts.append(f"{listing(names)}{each}{solved} {count}{of_what} [{interval}")
    return f"{'; '.join(parts)} (in brackets the 95 % interval of the rate)."


def _separated(run: pd.DataFrame) -> list[str]:
    """Which arms the intervals tell apart; every pair, without choosing the striking ones."""
    rows = run.to_dict("records")
    if len(rows) < 2:
        return []
    rates = {row["confirmed"] / row["confirmations"] for row in rows}
    note = []
    if rates == {0.0}:
        note.append("No arm solved it within the budget, so this task did not tell them apart.")
    elif rates == {1.0}:
        note.append(
            "Every run of every arm solved it: whether it is solved does not tell them apart."
        )
    else:
        apart = [
            f"{better['architecture']} above {worse['architecture']}"
            for better in rows
            for worse in rows
            if better["confirmed_low"] > worse["confirmed_high"]
        ]
        total = len(rows) * (len(rows) - 1) // 2
        if len(apart) == total and total > 1:
            note.append("The intervals of no two arms overlap.")
        elif apart:
            note.append(
                f"Intervals that do not overlap ({len(apart)} of {total} pairs): {listing(apart)}."
            )
        else:
            runs = span(
                min(r["confirmations"] for r in rows), max(r["confirmations"] for r in rows)
            )
            note.append(
                f"All these intervals overlap: {runs} runs an arm describe what happened but "
                "do not establish by themselves that the rates differ."
            )
    return note


def _speed(run: pd.DataFrame) -> str:
    solved = run[run["median_steps_to_solve"] < float("inf")].sort_values("median_steps_to_solve")
    if len(solved) < 2:
        return ""
    parts = [f"{r.architecture} {whole(r.median_steps_to_solve)}" for r in solved.itertuples()]
    return f"Median updates to solve: {', '.join(parts)}."


def _loss(task: Task, run: pd.DataFrame) -> str:
    known = run[run["test_loss_iqm"] < float("inf")].sort_values("test_loss_iqm")
    if known.empty:
        return ""
    best, worst = known.iloc[0], known.iloc[-1]
    text = f"Lowest test loss: {best['architecture']}, {_spread(best)}"
    if len(known) > 1:
        text += f"; highest: {worst['architecture']}, {_spread(worst)}"
    if task.chance_loss is not None:
        text += f"; chance is {short(task.chance_loss)}"
    beaten = [
        row["architecture"]
        for row in known.iloc[1:].to_dict("records")
        if Interval(best["test_loss_min"], best["test_loss_max"]).overlaps(
            Interval(row["test_loss_min"], row["test_loss_max"])
        )
    ]
    if beaten:
        text += f". The runs of {listing(beaten)} overlap with those of {best['architecture']}"
    return text + "."


def _spread(row: pd.Series) -> str:
    return f"{short(row['test_loss_iqm'])} ({span(row['test_loss_min'], row['test_loss_max'])})"


def _unconfirmed(arms: pd.DataFrame) -> str:
    finished = arms[arms["trials"] > 0]
    if finished.empty:
        return "No trial has ended yet."
    parts = [f"{r.architecture} {r.solved} of {r.trials}" for r in finished.itertuples()]
    return (
        "No confirmation runs yet, so nothing is established. Trials of the search that solved the "
        f"task (their hyperparameters differ): {', '.join(parts)}."
    )


def _lost(arms: pd.DataFrame) -> str:
    """Diverged and failed runs, of the search and of the confirmations."""
    parts = []
    for row in arms.to_dict("records"):
        words = [
            counted(row["diverged"], "trial") + " diverged" if row["diverged"] else "",
            counted(row["confirmations_diverged"], "confirmation") + " diverged"
            if row["confirmations_diverged"]
            else "",
            counted(row["failed"] + row["confirmations_failed"], "run") + " failed"
            if row["failed"] + row["confirmations_failed"]
            else "",
        ]
        if any(words):
            parts.append(f"{row['architecture']}: {', '.join(word for word in words if word)}")
    return f"Lost runs: {'; '.join(parts)}." if parts else "No run diverged and none failed."


def _half_lives(arms: pd.DataFrame) -> str:
    known = arms[arms["half_life_init"].notna()].sort_values("half_life_init", kind="stable")
    if known.empty:
        return ""
    parts = [
        f"{row.architecture} {steps_text(row.half_life_init)}"
        + (
            f" → {steps_text(row.half_life_final)}"
            if row.half_life_final == row.half_life_final
            else ""
        )
        for row in known.itertuples()
    ]
    return f"Half-life of the gradient in steps, before → after training: {', '.join(parts)}."
