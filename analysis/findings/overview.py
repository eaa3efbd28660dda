"""What a report's first screen says: a verdict in two or three sentences, and a table of it all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data.runs import Results
from analysis.data.wording import counted, fraction, listing, measured, short
from analysis.findings.quality import with_quality
from analysis.statistics.sign_test import LEVEL

LEAST = 0.05  # of the way from chance to no loss: below it nothing was learned
_MOST_TASKS = 2  # that have a sentence each
_MOST_NAMES = 6  # in a sentence


@dataclass(frozen=True)
class Cell:
    """An architecture on a task: ``quality`` from 0 to 1 or NaN, which the table's colour shows."""

    text: str
    interval: str
    quality: float


@dataclass(frozen=True)
class Overview:
    """``cells`` by architecture, then by task; of an arm that is not there None."""

    verdict: Sequence[str]
    tasks: Sequence[str]
    cells: dict[str, list[Cell | None]]


def overview(results: Results, summary: pd.DataFrame, decided: pd.DataFrame) -> Overview:
    """``decided`` is what `analysis.findings.decisions.decisions` found."""
    tasks = list(results.tasks)
    runs = with_quality(results)
    quality = runs.groupby(["architecture", "task"])["quality"].mean().to_dict()
    rows = {(r["architecture"], r["task"]): r for r in summary.to_dict("records")}
    cells: dict[str, list[Cell | None]] = {
        name: [
            _cell(
                rows[name, task],
                quality.get((name, task), math.nan),
                results.tasks[task].chance_loss,
            )
            if (name, task) in rows
            else None
            for task in tasks
        ]
        for name in results.architectures
    }
    best = runs.groupby(["task", "architecture"])["quality"].mean().groupby(level=0).max()
    unlearned = [task for task in tasks if best.get(task, 1.0) < LEAST]
    return Overview(_verdict(summary, decided, tasks, unlearned), tasks, cells)


def _cell(row: dict[str, Any], quality: float, chance: float | None) -> Cell:
    if not row["confirmations"]:
        return Cell("lost" if row["lost"] else "–", "", math.nan)
    interval = f"[{fraction(row['confirmed_low'])}, {fraction(row['confirmed_high'])}]"
    text = f"{row['confirmed']} of {row['confirmations']}"
    if not row["confirmed"] and chance:
        loss = row["test_loss_iqm"] / chance
        told = f"loss {measured(loss)} of chance" if math.isfinite(loss) else "diverged"
        return Cell(text, told, quality)
    return Cell(text, interval, quality)


def _verdict(
    summary: pd.DataFrame, decided: pd.DataFrame, tasks: Sequence[str], unlearned: Sequence[str]
) -> list[str]:
    confirmed = summary[summary["confirmations"] > 0]
    if confirmed.empty:
        return ["Nothing is established yet: no confirmation run has ended."]
    if decided.empty:
        return [_alone(confirmed)]
    compared = [t for t in tasks if (decided["task"] == t).any() and t not in unlearned]
    if not compared:
        return ["No network did better than chance, so none is ahead of another."]
    decided = decided[decided["task"].isin(compared)]
    if len(compared) <= _MOST_TASKS:
        told = [_of_task(task, decided[decided["task"] == task], len(tasks)) for task in compared]
    else:
        told = [_of_tasks(decided, compared)]
    if unlearned:
        told.append(f"On {listing(_few(list(unlearned)))} no network did better than chance.")
    return [*told, _how_sure(decided)]


def _alone(confirmed: pd.DataFrame) -> str:
    solved, runs = int(confirmed["confirmed"].sum()), int(confirmed["confirmations"].sum())
    names = listing(_few(list(dict.fromkeys(confirmed["architecture"]))))
    return f"{names} solved {solved} of {counted(runs, 'confirmation run')}; there is nothing to compare."


def _beats(decided: pd.DataFrame) -> set[tuple[str, str]]:
    """The pairs of which one is decided to do better than the other."""
    found = set()
    for row in decided.to_dict("records"):
        if row["better_p_holm"] <= LEVEL:
            pair = (row["architecture"], row["other"])
            found.add(pair if row["better"] > row["worse"] else pair[::-1])
    return found


def _names(decided: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys([*decided["architecture"], *decided["other"]]))


def _of_task(task: str, decided: pd.DataFrame, tasks: int) -> str:
    where = f"On {task}: " if tasks > 1 else ""
    beats, names = _beats(decided), _names(decided)
    if not beats:
        told = f"no difference was found between {listing(_few(names))}."
        return f"{where}{told}" if where else f"N{told[1:]}"
    ahead = [n for n in names if not any(worse == n for _, worse in beats)]
    behind = [n for n in names if n not in ahead]
    first = ahead[0]
    if len(ahead) == 1 and all((first, n) in beats for n in behind):
        others = "every other network" if len(behind) > 1 else behind[0]
        return f"{where}{first} did better than {others}."
    if not behind:  # a circle, which small studies can have
        return f"{where}each network is beaten by another one."
    apart = all((a, b) in beats for a in ahead for b in behind)
    how = "did better than" if apart else "are beaten by none, and some of them beat"
    one = {"are": "is", "some of them beat": "beats one of"} if len(ahead) == 1 else {}
    for word, instead in one.items():
        how = how.replace(word, instead)
    rest = "; they are not told apart from one another" if len(ahead) > 1 else ""
    return f"{where}{listing(_few(ahead))} {how} {listing(_few(behind))}{rest}."


def _of_tasks(decided: pd.DataFrame, tasks: Sequence[str]) -> str:
    counts = dict.fromkeys(_names(decided), 0)
    there = dict.fromkeys(counts, 0)
    for task in tasks:
        own = decided[decided["task"] == task]
        worse = {b for _, b in _beats(own)}
        for name in _names(own):
            there[name] += 1
            counts[name] += name not in worse
    ordered = sorted(counts, key=lambda name: -counts[name] / there[name])
    parts = [f"{name} on {counts[name]} of {there[name]}" for name in ordered]
    return f"Beaten by no other network, of {len(tasks)} tasks: {listing(_few(parts))}."


def _how_sure(decided: pd.DataFrame) -> str:
    rows = decided[decided["pairs"] > 0]
    if rows.empty:
        return "No two networks share a seed, so nothing was tested."
    is_open = rows[rows["better_p_holm"] > LEVEL]
    made = len(rows) - len(is_open)
    level = f"exact sign test at {short(LEVEL)}"
    if len(rows) == 1:
        told, rest, following = f"It is {'decided' if made else 'open'} ({level})", "it", "it"
    else:
        are = "is" if made == 1 else "are"
        level += ", Holm's correction over the pairs of a task"
        told = f"{made} of {len(rows)} pairs of networks {are} decided ({level})"
        rest, following = "the rest", "the next one"
    if is_open.empty:
        return f"{told}."
    known = is_open["needed"].dropna()
    if known.empty:
        return f"{told}; {rest} would take more than 500 runs an arm."
    return f"{told}; about {known.min():.0f} runs an arm would decide {following}."


def _few(names: list[str]) -> list[str]:
    if len(names) <= _MOST_NAMES:
        return names
    return [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} more"]
