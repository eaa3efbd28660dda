"""Which arms a study's confirmation runs tell apart, at a stated level, and what would decide the rest."""

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.data import columns
from analysis.data.columns import frame
from analysis.data.runs import Results
from analysis.data.wording import counted, listing, short
from analysis.findings.summary import CONFIRMED, ranks
from analysis.statistics.multiplicity import holm
from analysis.statistics.needed import pairs_find, pairs_needed
from analysis.statistics.sign_test import LEVEL, Split, sign_test

MOST_NAMED = 10  # pairs in a sentence; tables/decisions.csv has all


@lru_cache(maxsize=1)
def decisions(results: Results, seed: int = 0) -> pd.DataFrame:
    """A row for every two architectures on a task; see `columns.DECISIONS`.

    Runs of the same seed are pairs. Holm's correction is over the pairs of architectures of a task, for
    each of the two questions by itself.
    """
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED) & (runs["seed"] != "")]
    runs = runs.drop_duplicates(["task", "architecture", "seed"])
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for task in results.tasks:
        own = runs[runs["task"] == task]
        own = own.assign(place=ranks(own))
        names = list(dict.fromkeys(results.arms.loc[results.arms["task"] == task, "architecture"]))
        by_name = {n: own[own["architecture"] == n].set_index("seed") for n in names}
        pairs = [p for p in itertools.combinations(names, 2) if all(len(by_name[n]) for n in p)]
        found = [_pair(task, *pair, by_name[pair[0]], by_name[pair[1]]) for pair in pairs]
        for question in ("solved", "better"):
            adjusted = holm([row[f"{question}_p"] for row in found])
            for row, p in zip(found, adjusted, strict=True):
                row[f"{question}_p_holm"] = p
        for row in found:
            split = Split(row["better"], row["worse"], row["equal"])
            decided = row["better_p_holm"] <= LEVEL
            more = None if decided else pairs_needed(split, generator, len(found))
            row["needed"] = np.nan if more is None else more
        rows += found
    return frame(rows, columns.DECISIONS)


def _pair(task: str, x: str, y: str, one: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    seeds = [s for s in one.index if s in other.index]
    a, b = one.loc[seeds], other.loc[seeds]
    solved = Split(
        int((a["solved"] & ~b["solved"]).sum()),
        int((b["solved"] & ~a["solved"]).sum()),
        int((a["solved"] == b["solved"]).sum()),
    )
    better = Split(
        int((a["place"] < b["place"]).sum()),
        int((a["place"] > b["place"]).sum()),
        int((a["place"] == b["place"]).sum()),
    )
    return {
        "task": task,
        "architecture": x,
        "other": y,
        "pairs": len(seeds),
        "only_solved": solved.better,
        "only_other_solved": solved.worse,
        "solved_p": sign_test(solved),
        "better": better.better,
        "worse": better.worse,
        "equal": better.equal,
        "better_p": sign_test(better),
    }


def sentences(table: pd.DataFrame) -> list[str]:
    """Of one task's rows: who is told apart by solving it, who by doing better, and what is undecided."""
    if table.empty or not (table["pairs"] > 0).any():
        return []
    rows = table.to_dict("records")
    told = [_by_solving(rows), _by_doing_better(rows)]
    open_ones = [row for row in rows if row["better_p_holm"] > LEVEL]
    if open_ones:
        told.append(_undecided(open_ones, len(rows)))
    return [sentence for sentence in told if sentence]


def _by_solving(rows: list[dict[str, Any]]) -> str:
    apart = [_order(row, "only_solved", "only_other_solved") for row in _decided(rows, "solved")]
    if not apart:
        return ""
    return f"Which of two arms solves the task on the same seeds ({_level(rows)}): {_named(apart)}."


def _by_doing_better(rows: list[dict[str, Any]]) -> str:
    apart = [_order(row, "better", "worse") for row in _decided(rows, "better")]
    if not apart:
        return f"Which of two arms did better on the same seeds tells none apart ({_level(rows)})."
    every = "all " if len(apart) == len(rows) else ""
    pairs = f"{every}{len(apart)} of {counted(len(rows), 'pair')}" if len(rows) > 1 else "1 pair"
    return f"Better on the same seeds ({pairs} decided; {_level(rows)}): {_named(apart)}."


def _decided(rows: list[dict[str, Any]], question: str) -> list[dict[str, Any]]:
    return [row for row in rows if row[f"{question}_p_holm"] <= LEVEL]


def _order(row: dict[str, Any], wins: str, losses: str) -> str:
    """ "gru above lstm in 10 of 10"."""
    names = row["architecture"], row["other"]
    counts = row[wins], row[losses]
    if counts[1] > counts[0]:
        names, counts = names[::-1], counts[::-1]
    return f"{names[0]} above {names[1]} in {counts[0]} of {row['pairs']}"


def _named(parts: Sequence[str]) -> str:
    more = len(parts) - MOST_NAMED
    if more <= 0:
        return listing(parts)
    return listing([*parts[:MOST_NAMED], f"{more} more pairs, see tables/decisions.csv"])


def _level(rows: list[dict[str, Any]]) -> str:
    holms = f", Holm's correction over {len(rows)} pairs" if len(rows) > 1 else ""
    return f"exact sign test at {short(LEVEL)}{holms}"


def _undecided(rows: list[dict[str, Any]], tests: int) -> str:
    parts = []
    for row in rows:
        names = f"{row['architecture']} and {row['other']}"
        split = f"{row['better']} : {row['worse']}"
        if row["equal"]:
            split += f", {row['equal']} equal"
        more = row["needed"]
        decides = (
            f"about {more:.0f} runs an arm would decide" if more == more else "not by 500 runs"
        )
        parts.append(f"{names} ({split}; {decides})")
    least = pairs_find(min(row["pairs"] for row in rows), tests)
    found = (
        "so few runs cannot tell any two arms apart"
        if least is None
        else f"a difference in {least:.0%} of the pairs, all one way, would have been found with 80 %"
    )
    return f"No difference found: {_named(parts)}. Here {found}."
