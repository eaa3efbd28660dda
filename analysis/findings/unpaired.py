"""Networks whose runs share no seeds, as of two studies, set against one another."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from analysis.data.runs import Results
from analysis.data.wording import fraction, listing, short
from analysis.findings.summary import CONFIRMED, ranks
from analysis.statistics.few_runs import probability_of_improvement
from analysis.statistics.multiplicity import holm
from analysis.statistics.sign_test import LEVEL


@dataclass(frozen=True)
class Against:
    """``probability`` that a run of ``one`` does better than one of ``other``; p after Holm's correction."""

    one: str
    other: str
    probability: float
    p: float


def unpaired(results: Results, task: str) -> list[Against]:
    """Every two networks on a task that share no seed: Mann-Whitney's test, exact where nothing is equal."""
    runs = results.confirmations
    runs = runs[(runs["task"] == task) & runs["outcome"].isin(CONFIRMED)]
    places = ranks(runs)
    found: list[tuple[str, str, float, float]] = []
    for x, y in itertools.combinations(results.architectures, 2):
        one, other = runs["architecture"] == x, runs["architecture"] == y
        if (
            not one.any()
            or not other.any()
            or set(runs.loc[one, "seed"]) & set(runs.loc[other, "seed"])
        ):
            continue
        a, b = places[one], places[other]
        found.append((x, y, probability_of_improvement(a, b), _p(a, b)))
    adjusted = holm([p for *_, p in found])
    return [Against(x, y, share, p) for (x, y, share, _), p in zip(found, adjusted, strict=True)]


def _p(a: pd.Series, b: pd.Series) -> float:
    if pd.concat([a, b]).nunique() == 1:
        return 1.0
    return float(stats.mannwhitneyu(a, b, alternative="two-sided", method="auto").pvalue)


def sentences(results: Results) -> Iterator[str]:
    """One a task with such pairs."""
    for task in results.tasks:
        found = unpaired(results, task)
        if not found:
            continue
        apart = [_better(each) for each in found if each.p <= LEVEL]
        correction = f", Holm's correction over {len(found)} pairs" if len(found) > 1 else ""
        test = f"Mann-Whitney's test at {short(LEVEL)}{correction}"
        where = f"On {task}, of runs that share no seeds"
        if apart:
            yield f"{where} ({test}): {listing(apart)}."
        else:
            yield f"{where}, no two networks are told apart ({test})."


def _better(each: Against) -> str:
    names = (each.one, each.other) if each.probability > 0.5 else (each.other, each.one)
    share = max(each.probability, 1 - each.probability)
    return (
        f"a run of {names[0]} does better than one of {names[1]} with probability {fraction(share)}"
    )
