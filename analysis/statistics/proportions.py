"""Solved fractions of two arms whose runs are not paired: exact test, interval, size and power."""

from functools import lru_cache

import numpy as np
from scipy import stats

from analysis.statistics.few_runs import CONFIDENCE, Array, Interval, wilson_interval
from study.base.errors import UserError

RATES = np.linspace(0, 1, 501)  # common rates over which the largest probability is looked for
SAME = 1 + 1e-7  # tables this close in probability are ties, as in scipy and R


@lru_cache(maxsize=64)
def fisher_table(runs: int, others: int) -> Array:
    """Two-sided p-value of Fisher's exact test for every pair of successes. (runs + 1, others + 1)."""
    found = np.ones((runs + 1, others + 1))
    for total in range(runs + others + 1):
        s = np.arange(max(0, total - others), min(runs, total) + 1)
        chance = stats.hypergeom.pmf(s, runs + others, total, runs)
        p = np.where(chance[None, :] <= chance[:, None] * SAME, chance[None, :], 0).sum(axis=1)
        found[s, total - s] = np.minimum(p, 1)
    found.setflags(write=False)  # it is kept for the next call
    return found


@lru_cache(maxsize=64)
def boschloo_table(runs: int, others: int) -> Array:
    """Two-sided p-value of Boschloo's exact test for every pair of successes. (runs + 1, others + 1).

    Fisher's p-value is the statistic; its largest probability over the common rate is the p-value.
    Boschloo (1970), Statistica Neerlandica 24. Never above Fisher's, so never less powerful. The
    rate runs over 501 values from 0 to 1.
    """
    fisher = fisher_table(runs, others)
    order = np.argsort(fisher, axis=None, kind="stable")
    ordered = fisher.ravel()[order]
    # The last table of each tie stands for all of it.
    last = np.searchsorted(ordered, ordered * SAME, side="right") - 1
    largest = np.zeros(len(order))
    for rate in RATES:
        chance = np.outer(*(stats.binom.pmf(np.arange(n + 1), n, rate) for n in (runs, others)))
        np.maximum(largest, np.cumsum(chance.ravel()[order])[last], out=largest)
    found = np.empty(len(order))
    found[order] = np.minimum(largest, 1)
    found = np.minimum(found.reshape(fisher.shape), fisher)
    found.setflags(write=False)
    return found


def boschloo(successes: int, runs: int, other_successes: int, others: int) -> float:
    """Two-sided p-value of equal rates. Raises UserError for more successes than runs."""
    _check(successes, runs)
    _check(other_successes, others)
    return float(boschloo_table(runs, others)[successes, other_successes])


def newcombe_interval(
    successes: int, runs: int, other_successes: int, others: int, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the difference of two rates, first minus second, from their Wilson intervals.

    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10. With no runs on a side: [-1, 1].
    """
    _check(successes, runs)
    _check(other_successes, others)
    if runs == 0 or others == 0:
        return Interval(-1.0, 1.0)
    p, q = successes / runs, other_successes / others
    a = wilson_interval(successes, runs, confidence)
    b = wilson_interval(other_successes, others, confidence)
    return Interval(
        float(p - q - np.hypot(p - a.low, b.high - q)),
        float(p - q + np.hypot(a.high - p, q - b.low)),
    )


def power(rate: float, runs: int, other_rate: float, others: int, alpha: float = 0.05) -> float:
    """Probability that Boschloo's test rejects at these true rates, by enumeration of all tables."""
    chance = np.outer(
        stats.binom.pmf(np.arange(runs + 1), runs, rate),
        stats.binom.pmf(np.arange(others + 1), others, other_rate),
    )
    return float(chance[boschloo_table(runs, others) <= alpha].sum())


def size(runs: int, others: int, alpha: float = 0.05) -> float:
    """Largest probability of rejecting equal rates, over the rates; never above ``alpha``."""
    return max(power(float(rate), runs, float(rate), others, alpha) for rate in RATES)


def _check(successes: int, runs: int) -> None:
    if not 0 <= successes <= runs:
        raise UserError(f"{successes} successes of {runs} runs; give a number from 0 to {runs}")
