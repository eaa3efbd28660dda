"""The questions that claims are made of, each answered by a test on confirmations.

A run that did not solve its task stands at its whole budget where updates are compared, so that it is
never dropped; whether it solved is then asked beside it.
"""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.claims.claim import Answer, Studies, percent
from analysis.claims.evidence import Pair, pair, runs
from analysis.data.wording import short
from analysis.findings.summary import times_to_solve
from analysis.statistics.needed import pairs_needed
from analysis.statistics.paired import sign_flip_test
from analysis.statistics.proportions import newcombe_interval
from analysis.statistics.sign_test import LEVEL, Split, sign_test

RATE_MARGIN = 0.3  # by which the share of solved runs of two arms that match may differ
MOST_RUNS = 1000
_SEED = 0  # of simulations


def better(studies: Studies, study: str, x: str, y: str, task: str = "") -> Answer:
    """Does x do better than y? Solved alone, or sooner; of two that did not, by the test loss.

    Exact sign test over the seeds that both have.
    """
    found = pair(studies, study, x, y, task)
    a, b = found.one["place"], found.other["place"]
    split = Split(int((a < b).sum()), int((a > b).sum()), int((a == b).sum()))
    sentence = (
        f"{x} did better than {y}{found.where} on {split.better} of {split.pairs} seeds, worse on "
        f"{split.worse} ({_outcomes(found)}; {percent(sign_test(split))})"
    )
    return _of_split(split, sentence)


def _of_split(split: Split, sentence: str) -> Answer:
    p = sign_test(split)
    needed = _pairs_needed(split)
    ahead = split.better > split.worse
    return Answer(sentence, p if ahead else 1.0, p if split.worse > split.better else 1.0, needed)


@cache
def _pairs_needed(split: Split) -> int | None:
    return pairs_needed(split, np.random.default_rng(_SEED))


def usually_solves(studies: Studies, study: str, x: str, task: str = "") -> Answer:
    """Do more than half of x's runs solve the task? Exact binomial test."""
    solved, count = _solved(runs(studies, study, x, task))
    p = float(stats.binomtest(solved, count, 0.5).pvalue)
    where = f" {task}" if task else " the task"
    sentence = f"{x} solved{where} in {solved} of {count} runs ({percent(p)} against a half)"
    more = 2 * solved > count
    return Answer(
        sentence,
        p if more else 1.0,
        p if 2 * solved < count else 1.0,
        _binomial_needed(solved, count),
    )


def usually_fails(studies: Studies, study: str, x: str, task: str = "") -> Answer:
    """Do fewer than half of x's runs solve the task?"""
    answer = usually_solves(studies, study, x, task)
    return Answer(answer.sentence, answer.p_against, answer.p_for, answer.needed)


def no_worse(
    studies: Studies, study: str, x: str, y: str, task: str = "", factor: float = 2.0
) -> Answer:
    """Is x no worse than y by more than a margin?

    Its share of solved runs must not be lower by 0.3 or more (Newcombe's interval), and its updates to
    solve, in the geometric mean over seeds, not ``factor`` times y's or more (one-sided t test of the
    logarithm). Where neither ever solves, the test loss stands for the updates.
    """
    found = pair(studies, study, x, y, task)
    rates = _solved(found.one), _solved(found.other)
    logs, what = _log_ratios(found)
    yes = max(_rate_p(*rates, above=True), _t_below(logs, np.log(factor)))
    no = min(_rate_p(*rates, above=False), _t_below(-logs, -np.log(factor)))
    sentence = (
        f"{x} against {y}{found.where}: {_outcomes(found)}, {what} {short(float(np.exp(logs.mean())))} "
        f"times as many (margin {short(factor)}; {percent(yes)})"
    )
    if what == "test loss":
        sentence = sentence.replace("times as many", "times as large")
    return Answer(sentence, yes, min(1.0, 2 * no), _t_needed(logs, np.log(factor)))


def matches(
    studies: Studies, study: str, x: str, y: str, task: str = "", factor: float = 1.5
) -> Answer:
    """Are x and y no worse than one another, by `no_worse`? Two one-sided tests, so that it can be shown."""
    there = no_worse(studies, study, x, y, task, factor)
    back = no_worse(studies, study, y, x, task, factor)
    needed = None if None in (there.needed, back.needed) else max(there.needed, back.needed)  # type: ignore[type-var]
    return Answer(
        there.sentence,
        max(there.p_for, back.p_for),
        min(1.0, 2 * min(there.p_against, back.p_against)),
        needed,
    )


def positive(values: ArrayLike, sentence: str) -> Answer:
    """Is the mean above 0? ``values`` one a seed; sign-flip test, exact up to 16 seeds."""
    d = np.asarray(values, dtype=float)
    p = sign_flip_test(d, np.random.default_rng(_SEED))
    mean = d.mean() if len(d) else 0.0
    return Answer(
        f"{sentence} ({percent(p)})",
        p if mean > 0 else 1.0,
        p if mean < 0 else 1.0,
        _t_needed(-d, 0.0),
    )


def within(values: ArrayLike, low: float, high: float, sentence: str) -> Answer:
    """Does the mean lie within [low, high]? Two one-sided t tests, of values one a seed."""
    d = np.asarray(values, dtype=float)
    yes = max(_t_below(d, high), _t_below(-d, -low))
    no = min(1.0, 2 * min(_t_below(-d, -high), _t_below(d, low)))
    nearer = high if abs(high - d.mean()) < abs(d.mean() - low) else low
    needed = _t_needed(d, high) if nearer == high else _t_needed(-d, -low)
    return Answer(f"{sentence} ({percent(yes)} of lying outside)", yes, no, needed)


def _outcomes(found: Pair) -> str:
    (a, n), (b, m) = _solved(found.one), _solved(found.other)
    if a == b == 0:
        losses = (
            short(float(np.exp(np.log(t["test_loss"]).mean()))) for t in (found.one, found.other)
        )
        return "neither solved it, test loss " + " and ".join(losses)
    return f"solved {a} and {b} of {n}" if n == m else f"solved {a} of {n} and {b} of {m}"


def _solved(table: pd.DataFrame) -> tuple[int, int]:
    return int(table["solved"].sum()), len(table)


def _log_ratios(found: Pair) -> tuple[np.ndarray, str]:
    """ln of x's over y's updates to solve, one a seed; of test losses where nobody solves."""
    if found.one["solved"].any() or found.other["solved"].any():
        first, second = (times_to_solve(t)[0] for t in (found.one, found.other))
        return np.log(first) - np.log(second), "updates"
    tables = (found.one, found.other)
    # A diverged run has no loss: it is worse than any, and is given the worst that is there.
    worst = max(float(t["test_loss"].max()) for t in tables)
    first, second = (t["test_loss"].fillna(worst).to_numpy(dtype=float) for t in tables)
    return np.log(first) - np.log(second), "test loss"


@cache
def _rate_p(one: tuple[int, int], other: tuple[int, int], *, above: bool) -> float:
    """One-sided p of the difference of two rates not being above (or below) -0.3, by Newcombe's interval.

    The level at which the interval of 1 - 2α ends at the margin, found by halving.
    """
    low, high = 1e-6, 0.5
    for _ in range(40):
        level = (low + high) / 2
        interval = newcombe_interval(*one, *other, 1 - 2 * level)
        beyond = interval.low > -RATE_MARGIN if above else interval.high < -RATE_MARGIN
        low, high = (low, level) if beyond else (level, high)
    return high if high < 0.4999 else 1.0


def _t_below(values: np.ndarray, bound: float) -> float:
    """One-sided p of a mean that is not below ``bound``."""
    if len(values) < 2 or not np.isfinite(values).all():
        return 1.0
    if np.ptp(values) == 0:
        return float(values[0] >= bound)
    return float(stats.ttest_1samp(values, bound, alternative="less").pvalue)


def _t_needed(values: np.ndarray, bound: float) -> int | None:
    """Runs by which a one-sided t test finds this mean below the bound, or above, with power 0.8."""
    distance = abs(bound - values.mean())
    if len(values) < 2 or distance == 0:
        return None
    wanted = (
        (stats.norm.ppf(1 - LEVEL) + stats.norm.ppf(0.8)) * values.std(ddof=1) / distance
    ) ** 2
    return max(len(values), int(np.ceil(wanted)) + 2) if wanted < MOST_RUNS else None


@cache
def _binomial_needed(solved: int, count: int) -> int | None:
    """Runs by which a binomial test tells this rate, with a half added either way, from a half."""
    rate = (solved + 0.5) / (count + 1)
    for n in (*range(count, 100), *range(100, MOST_RUNS, 20)):
        k = np.arange(n + 1)
        tail = stats.binom.cdf(np.minimum(k, n - k), n, 0.5)
        power = stats.binom.pmf(k, n, rate)[2 * tail <= LEVEL].sum()
        if power >= 0.8:
            return int(n)
    return None
