"""Whether two numbers rise together over trials, by their ranks: over all, and within strata.

An outcome such as "solved after 300 updates, or not" has an order and many ties, but no unit; so ranks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.statistics.few_runs import CONFIDENCE, Interval

Array = NDArray[np.float64]
MINIMUM = 5  # pairs; of four, even a perfect order comes about by chance in one of 12 cases
UNKNOWN = Interval(float("nan"), float("nan"))


@dataclass(frozen=True)
class RankCorrelation:
    """``rho`` in [-1, 1] of ``pairs`` pairs, with its interval; all NaN with a ``refusal`` in words.

    ``p`` belongs to the interval: below 0.05 where the 95 % interval leaves out 0. ``strata`` are those
    that it is about, 1 where there are none.
    """

    pairs: int
    strata: int = 1
    rho: float = float("nan")
    interval: Interval = UNKNOWN
    p: float = float("nan")
    refusal: str = ""


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    confidence: float = CONFIDENCE,
    names: tuple[str, str] = ("x", "y"),
) -> RankCorrelation:
    """Pearson's correlation of the ranks, equal values sharing their mean rank. Spearman (1904).

    The interval is that of Bonett & Wright (2000), Psychometrika 65, see `fisher_interval`. It needs no
    resampling, which of few pairs, or of an outcome with few levels, covers far too little.

    Infinite values have ranks like others. ``names`` are used in refusals: fewer than five pairs, or one
    side the same throughout. Raises ValueError for NaN and for unequal lengths.
    """
    return spearman_within(x, y, np.zeros(len(np.asarray(x)), dtype=int), confidence, names)


def spearman_within(
    x: ArrayLike,
    y: ArrayLike,
    strata: ArrayLike,
    confidence: float = CONFIDENCE,
    names: tuple[str, str] = ("x", "y"),
) -> RankCorrelation:
    """Spearman's correlation given the stratum: what differs from stratum to stratum has no part in it.

    Pairs are ranked within their stratum, r of n as 2(r - 1/2)/n - 1, and correlated over all strata: the
    partial correlation of probability-scale residuals. Liu, Li, Wanga & Shepherd (2018), Biometrics 74.
    With strata of one size and without ties it is the mean of their correlations. A stratum in which one
    side is the same throughout says nothing and is left out; ``pairs`` and ``strata`` are of the others.

    K strata cost K - 1 pairs in the interval, as in a partial correlation. Fisher (1924). Simulated, it
    holds the true value in 92 to 98 % of cases for ρ up to .5; of strata of five pairs a ρ of .8 in 85 %
    only, as their ranks draw it towards 0. Else as `spearman`.
    """
    first, second, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(strata)
    if not len(first) == len(second) == len(groups):
        raise ValueError(f"{len(first)} and {len(second)} values in {len(groups)} strata")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("NaN has no rank; leave such pairs out and say how many")
    whole = len(first)
    inside = [groups == group for group in dict.fromkeys(groups.tolist())]
    telling = [own for own in inside if _varies(first[own]) and _varies(second[own])]
    pairs = int(sum(own.sum() for own in telling))
    worth = pairs - max(len(telling) - 1, 0)
    if whole < MINIMUM:
        return _refused(whole, len(inside), f"too few to say (n = {whole}, needed {MINIMUM})")
    if not telling:
        constant = [name for name, v in zip(names, (first, second), strict=True) if not _varies(v)]
        told = f"{constant[0] if constant else ' or '.join(names)} is the same throughout"
        told += " in each stratum" if not constant else ""
        return _refused(whole, len(inside), told)
    if worth < MINIMUM:
        return _refused(
            pairs, len(telling), f"too few to say (n = {pairs} in {len(telling)} strata)"
        )
    ranks = np.concatenate([[_ridits(first[own]), _ridits(second[own])] for own in telling], axis=1)
    squares = ranks @ ranks.T
    rho = float(squares[0, 1] / np.sqrt(squares[0, 0] * squares[1, 1]))
    rho = min(max(rho, -1.0), 1.0)  # of a perfect order rounding may make a little more
    interval, p = fisher_interval(rho, worth, confidence)
    return RankCorrelation(pairs, len(telling), rho, interval, p)


def fisher_interval(
    rho: float, pairs: int, confidence: float = CONFIDENCE
) -> tuple[Interval, float]:
    """tanh(artanh ρ ± z sqrt((1 + ρ²/2) / (n - 3))), and the p of ρ = 0. Bonett & Wright (2000).

    Simulated with normal pairs and with outcomes of few levels, 6 to 72 pairs and ρ from 0 to .9, it
    holds the true value in 94 to 100 % of cases; in about 90 % where only the spread of y depends on x.

    A perfect order counts as half a step from one: half of what exchanging two neighbours takes from ρ,
    6 / (n³ - n). Without that five pairs in order would give [1, 1], as if that were certain.
    """
    most = 1 - 6 / (pairs**3 - pairs)
    inner = float(np.clip(rho, -most, most))
    error = np.sqrt((1 + inner**2 / 2) / (pairs - 3))
    reach = stats.norm.ppf((1 + confidence) / 2) * error
    low, high = np.tanh(np.arctanh(inner) + np.array([-reach, reach]))
    p = 2 * stats.norm.sf(abs(np.arctanh(inner)) / error)
    return Interval(min(float(low), rho), max(float(high), rho)), float(p)


def _ridits(values: Array) -> Array:
    return 2 * (stats.rankdata(values) - 0.5) / len(values) - 1


def _varies(values: Array) -> bool:
    return len(values) > 1 and bool((values != values[0]).any())


def _refused(pairs: int, strata: int, words: str) -> RankCorrelation:
    return RankCorrelation(pairs, strata, refusal=words)
