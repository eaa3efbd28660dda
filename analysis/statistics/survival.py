"""Updates to solve as survival times: a run without success is right-censored, never dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.few_runs import CONFIDENCE, Array, Interval
from study.base.errors import UserError


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


@dataclass(frozen=True)
class LogRank:
    chi2: float
    degrees: int
    p_value: float


def log_rank(steps: Sequence[ArrayLike], solved: Sequence[ArrayLike]) -> LogRank:
    """Whether K arms solve equally fast. Mantel (1966); Peto & Peto (1972). One entry an arm.

    The sum over solving times of observed less expected successes, against its hypergeometric
    covariance. χ² holds for many runs: of five an arm the level is only near what is stated.
    Without any success p is 1. Raises UserError for fewer than two arms or an arm without runs.
    """
    times = [np.asarray(v, dtype=float) for v in steps]
    events = [np.asarray(v, dtype=bool) for v in solved]
    if len(times) < 2 or any(not len(v) for v in times):
        raise UserError("a log-rank test needs at least two arms, and runs of each")
    arms = len(times)
    excess, covariance = np.zeros(arms), np.zeros((arms, arms))
    for time in np.unique(np.concatenate([t[e] for t, e in zip(times, events, strict=True)])):
        at_risk = np.array([(t >= time).sum() for t in times], dtype=float)
        here = np.array([((t == time) & e).sum() for t, e in zip(times, events, strict=True)])
        n, d = at_risk.sum(), here.sum()
        share = at_risk / n
        excess += here - d * share
        if n > 1:
            covariance += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    if not covariance.any():
        return LogRank(0.0, arms - 1, 1.0)
    chi2 = float(excess @ np.linalg.pinv(covariance, rcond=1e-10, hermitian=True) @ excess)
    return LogRank(chi2, arms - 1, float(stats.chi2.sf(chi2, arms - 1)))


@dataclass(frozen=True)
class RestrictedMean:
    """Mean of min(steps to solve, budget), in steps."""

    mean: float
    variance: float  # of the mean
    interval: Interval


def restricted_mean(
    steps: ArrayLike, solved: ArrayLike, budget: float, confidence: float = CONFIDENCE
) -> RestrictedMean:
    """Area under the Kaplan-Meier curve up to ``budget``, with Greenwood's variance.

    Royston & Parmar (2013), BMC Med. Res. Methodol. 13. The interval is normal, and too narrow for
    few runs. Without spread (all solved at once, or none at all) it has no width. NaN for no runs.
    """
    times, events = np.asarray(steps, dtype=float), np.asarray(solved, dtype=bool)
    if not len(times):
        nan = float("nan")
        return RestrictedMean(nan, nan, Interval(nan, nan))
    curve = kaplan_meier(times, events)
    inside = curve.steps < budget
    left = np.append(curve.steps[inside], budget)
    areas = (1 - curve.fraction[inside]) * np.diff(left)
    variance = 0.0
    for time in np.unique(times[events & (times < budget)]):
        n, d = (times >= time).sum(), (events & (times == time)).sum()
        if n > d:  # else the curve is 0 from here, and so is the area to the right
            variance += areas[left[:-1] >= time].sum() ** 2 * d / (n * (n - d))
    mean = float(areas.sum())
    return RestrictedMean(mean, float(variance), _normal(mean, float(variance), confidence))


def restricted_difference(
    first: RestrictedMean, second: RestrictedMean, confidence: float = CONFIDENCE
) -> RestrictedMean:
    """First less second, of unpaired arms with the same budget; below 0 the first is faster."""
    mean, variance = first.mean - second.mean, first.variance + second.variance
    return RestrictedMean(mean, variance, _normal(mean, variance, confidence))


def _normal(mean: float, variance: float, confidence: float) -> Interval:
    half = float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance))
    return Interval(mean - half, mean + half)
