"""Statistics for few runs: pure functions on arrays, randomness passed in.

Fractions of a few runs come with Wilson intervals, losses with interquartile means, times to solve
as right-censored data. Nothing here drops a run in silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        return self.low <= other.high and other.low <= self.high


def wilson_interval(successes: int, runs: int, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of a fraction. Wilson (1927), J. Am. Stat. Assoc. 22.

    3 of 3 gives [0.44, 1]: three runs cannot show that an arm always solves its task. With no runs
    nothing is known: [0, 1].
    """
    if runs == 0:
        return Interval(0.0, 1.0)
    found = stats.binomtest(successes, runs).proportion_ci(confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean without the lowest and the highest quarter of the values.

    Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice. Of
    fewer than four values nothing is trimmed. An infinite value (a diverged run) counts as one: the
    result is infinite unless it is trimmed. NaN for no values.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = len(ordered) // 4
    kept = ordered[cut : len(ordered) - cut]
    return float(kept.mean()) if len(kept) else float("nan")


def iqm_interval(
    strata: Sequence[ArrayLike],
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap interval of the IQM of all values, resampled within each stratum.

    A stratum is one task's runs; one stratum is the ordinary bootstrap. With fewer than two values
    in every stratum there is no spread to resample: [NaN, NaN]. Of few values it is too narrow (of
    three it never leaves their range), so show it beside their number.
    """
    groups = [np.asarray(values, dtype=float) for values in strata]
    groups = [values for values in groups if len(values)]
    if not groups or max(len(values) for values in groups) < 2:
        return Interval(float("nan"), float("nan"))
    drawn = np.concatenate(
        [
            values[generator.integers(len(values), size=(resamples, len(values)))]
            for values in groups
        ],
        axis=1,
    )
    drawn.sort(axis=1)
    cut = drawn.shape[1] // 4
    means = drawn[:, cut : drawn.shape[1] - cut].mean(axis=1)
    tail = (1 - confidence) / 2
    # Infinite means (diverged runs) must not be interpolated: inf - inf is not a number.
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


def probability_of_improvement(losses: ArrayLike, others: ArrayLike) -> float:
    """P(X < Y) + P(X = Y)/2 for a random run of each side: Mann-Whitney's U over nm.

    0.5 says no difference, 1 that every run here had a lower loss than every one there. NaN when a
    side is empty.
    """
    x, y = np.asarray(losses, dtype=float), np.asarray(others, dtype=float)
    if not len(x) or not len(y):
        return float("nan")
    ranks = stats.rankdata(np.concatenate([x, y]))
    above = ranks[: len(x)].sum() - len(x) * (len(x) + 1) / 2
    return float(1 - above / (len(x) * len(y)))


def expected_best(scores: ArrayLike) -> Array:
    """Expected lowest score of n = 1 … N trials: its mean over every choice of n of the N scores.

    Σ_i x_(i) C(N-i, n-1) / C(N, n), x_(1) ≤ … ≤ x_(N). Without bias for independent trials (random
    search), as every choice is such a search. Drawn with replacement, as in Dodge et al. (2019), Show
    your work, eq. 7-8, the lowest scores are too often left out: of ten times, .158 for an expected .1.
    Tang et al. (2020), Showing your work doesn't always work.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))
    count = len(ordered)
    budgets = np.arange(1, count + 1)[:, None]
    ranks = np.arange(count)
    # P(min > x_(i)), given that it is above the one before: all n are among those ranked above i.
    stays = np.clip((count - ranks - budgets) / (count - ranks), 0, 1)
    above = np.hstack([np.ones((count, 1)), np.cumprod(stays, axis=1)])
    weights = above[:, :-1] - above[:, 1:]
    # What has no weight has none when it is infinite either.
    return np.where(weights > 0, weights * np.where(weights > 0, ordered, 0), 0).sum(axis=1)


@dataclass(frozen=True)
class SolvedCurve:
    """Fraction of runs that have solved by each step; a right-continuous staircase from (0, 0)."""

    steps: Array
    fraction: Array
    runs: int

    @property
    def median(self) -> float | None:
        """First step by which half of the runs are expected to have solved; None when never."""
        reached = np.flatnonzero(self.fraction >= 0.5 - 1e-12)
        return float(self.steps[reached[0]]) if len(reached) else None


def kaplan_meier(steps: ArrayLike, solved: ArrayLike) -> SolvedCurve:
    """1 - S(t) of the steps to solve, the runs without success right-censored where they stopped.

    Kaplan & Meier (1958). Give a run that ended early because it can no longer succeed (diverged)
    its full budget, else it would count as one that might have.
    """
    times = np.asarray(steps, dtype=float)
    events = np.asarray(solved, dtype=bool)
    if not len(times):
        return SolvedCurve(np.zeros(1), np.zeros(1), 0)
    data = stats.CensoredData(uncensored=times[events], right=times[~events])
    found = stats.ecdf(data).cdf
    return SolvedCurve(
        steps=np.concatenate([[0.0], found.quantiles]),
        fraction=np.concatenate([[0.0], found.probabilities]),
        runs=len(times),
    )


def half_life(log_slope_per_step: float) -> float:
    """Steps in which a norm with this slope of its logarithm halves; infinite without decay."""
    if np.isnan(log_slope_per_step):
        return float("nan")
    return float(np.log(2) / -log_slope_per_step) if log_slope_per_step < 0 else float("inf")
