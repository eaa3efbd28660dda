"""The best of several trials, and what is best at its cost."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.few_runs import CONFIDENCE, Array
from study.base.errors import UserError


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


def expected_best_interval(
    scores: ArrayLike,
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = 1000,
) -> tuple[Array, Array]:
    """Ends of the percentile bootstrap interval of the expected best of n = 1 … N. Two of (N,).

    Near n = N it is too low and too narrow, as no resample has a score below the lowest seen.
    NaN of fewer than two scores.
    """
    values = np.asarray(scores, dtype=float)
    if len(values) < 2:
        nothing = np.full(len(values), np.nan)
        return nothing, nothing
    drawn = values[generator.integers(len(values), size=(resamples, len(values)))]
    curves = np.array([expected_best(row) for row in drawn])
    tail = (1 - confidence) / 2
    # Infinite scores (diverged trials) must not be interpolated.
    low, high = np.quantile(curves, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return low, high


def pareto(costs: ArrayLike, losses: ArrayLike) -> list[int]:
    """Which are on the front, cheapest first: none other is as good in both and better in one.

    Lower is better in both. Equal ones are all on it. NaN in either is never on it.
    """
    c, q = np.asarray(costs, dtype=float), np.asarray(losses, dtype=float)
    if c.shape != q.shape or c.ndim != 1:
        raise UserError(f"a front needs one loss for each cost, not {q.size} for {c.size}")
    found = [
        i
        for i in np.flatnonzero(~np.isnan(c) & ~np.isnan(q))
        if not ((c <= c[i]) & (q <= q[i]) & ((c < c[i]) | (q < q[i]))).any()
    ]
    return sorted((int(i) for i in found), key=lambda i: (c[i], i))
