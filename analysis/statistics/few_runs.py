"""Statistics for few runs: pure functions on arrays, randomness passed in.

Fractions of a few runs come with Wilson intervals and losses with interquartile means. Nothing
here drops a run in silence.
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


def half_life(log_slope_per_step: float) -> float:
    """Steps in which a norm with this slope of its logarithm halves; infinite without decay."""
    if np.isnan(log_slope_per_step):
        return float("nan")
    return float(np.log(2) / -log_slope_per_step) if log_slope_per_step < 0 else float("inf")
