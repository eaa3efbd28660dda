"""Ranks of arms over tasks: Friedman's test and Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.few_runs import Array
from study.base.errors import UserError


@dataclass(frozen=True)
class Friedman:
    """``chi2`` is corrected for ties; ``f`` is Iman & Davenport's (1980), less conservative."""

    mean_ranks: Array  # (A,), 1 is the best
    tasks: int
    chi2: float
    f: float
    p_value: float  # of f


def friedman(losses: ArrayLike) -> Friedman:
    """Whether A arms rank alike over N tasks. ``losses``: (N, A), the lowest is the best.

    Friedman (1937); Demšar (2006), J. Mach. Learn. Res. 7, eq. of section 3.2.2. Infinite losses
    tie for the worst rank. Raises UserError for NaN, fewer than two tasks or fewer than three arms.
    """
    table = np.asarray(losses, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise UserError("Friedman's test needs a table of at least two tasks and three arms")
    if np.isnan(table).any():
        raise UserError("Friedman's test needs every arm's loss on every task; one is missing")
    tasks, arms = table.shape
    ranks = stats.rankdata(table, axis=1)
    means = ranks.mean(axis=0)
    spread = ((ranks - (arms + 1) / 2) ** 2).sum()  # N A (A² - 1) / 12 without ties
    if spread == 0:
        return Friedman(means, tasks, 0.0, 0.0, 1.0)
    chi2 = (arms - 1) * tasks**2 * ((means - (arms + 1) / 2) ** 2).sum() / spread
    f, p_value = iman_davenport(float(chi2), tasks, arms)
    return Friedman(means, tasks, float(chi2), f, p_value)


def iman_davenport(chi2: float, tasks: int, arms: int) -> tuple[float, float]:
    """F and its p-value of Friedman's chi2. Infinite when all tasks agree."""
    left = tasks * (arms - 1) - chi2
    f = (tasks - 1) * chi2 / left if left > 1e-9 else float("inf")
    return f, float(stats.f.sf(f, arms - 1, (arms - 1) * (tasks - 1)))


def critical_difference(arms: int, tasks: int, alpha: float = 0.05) -> float:
    """Nemenyi's: mean ranks further apart differ, at ``alpha`` over all pairs together."""
    q = stats.studentized_range.ppf(1 - alpha, arms, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(arms * (arms + 1) / (6 * tasks)))


def groups(mean_ranks: ArrayLike, difference: float) -> list[list[int]]:
    """The bars of a critical-difference diagram: maximal sets of arms, best first, not told apart.

    A bar does not say that its arms are equal, only that these tasks do not tell them apart.
    Whether two arms differ also depends on which others are compared. Benavoli et al. (2016), Should
    we really use post-hoc tests based on mean-ranks?
    """
    ranks = np.asarray(mean_ranks, dtype=float)
    order = np.argsort(ranks, kind="stable")
    found: list[list[int]] = []
    end = 0
    for start in range(len(order)):
        reach = int((ranks[order] <= ranks[order[start]] + difference).sum())
        if reach > end and reach - start > 1:
            found.append([int(arm) for arm in order[start:reach]])
        end = max(end, reach)
    return found
