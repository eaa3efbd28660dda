"""Several tasks in one number or one curve, each task's runs resampled within the task."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.few_runs import CONFIDENCE, Array, Interval, probability_of_improvement
from study.base.errors import UserError


def normalized(losses: ArrayLike, chance: float, best: float = 0.0) -> Array:
    """Scores of one task: 0 at the loss of chance, 1 at the best possible; below 0 is worse than chance.

    A diverged run, infinite or NaN, is -∞, never dropped. Raises UserError unless best < chance.
    """
    if not best < chance:
        raise UserError(f"the best loss, {best:g}, must lie below that of chance, {chance:g}")
    values = np.asarray(losses, dtype=float)
    values = np.where(np.isnan(values), np.inf, values)
    return (chance - values) / (chance - best)


def performance_profile(scores: Sequence[ArrayLike], thresholds: ArrayLike) -> Array:
    """Fraction of runs with a score above each τ, every run of every task alike. (τ,).

    Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, eq. 3.
    NaN without runs.
    """
    parts = [np.asarray(values, dtype=float) for values in scores]
    values = np.concatenate(parts) if parts else np.empty(0)
    tau = np.asarray(thresholds, dtype=float)
    if not len(values):
        return np.full(len(tau), np.nan)
    return (values[None, :] > tau[:, None]).mean(axis=1)


def integrated_profile(times: ArrayLike, r_max: float = 4.0) -> Array:
    """AlgoPerf's score of each arm: its profile over ratios 1 … r_max, integrated. (A,), 0 to 1.

    ``times`` to solve, (A, tasks), infinite where unsolved. A ratio is to the task's fastest arm; the
    profile at r is the fraction of tasks with a ratio of at most r. Dahl et al. (2023), Benchmarking
    neural network training algorithms, section 4. A task that no arm solves counts 0 for all. The
    score of an arm depends on which others take part.
    """
    table = np.asarray(times, dtype=float)
    if table.ndim != 2 or not table.size or not r_max > 1:
        raise UserError("a profile needs a table of arms and tasks, and an r_max above 1")
    if np.isnan(table).any() or (table <= 0).any():
        raise UserError("times to solve are above 0, and infinite where a task was not solved")
    with np.errstate(invalid="ignore"):
        ratios = table / table.min(axis=0)
    ratios = np.where(np.isfinite(table), ratios, np.inf)
    # A step up at each ratio: what lies to its right is its part of the integral.
    return (r_max - np.minimum(ratios, r_max)).mean(axis=1) / (r_max - 1)


def improvement_interval(
    losses: Sequence[ArrayLike],
    others: Sequence[ArrayLike],
    generator: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = 1000,
) -> tuple[float, Interval]:
    """Probability of improvement, its mean over tasks, and its stratified bootstrap interval.

    Agarwal et al. (2021), section 4.3. One entry a task on both sides. Where every run is better
    than every other the interval has no width, however few they are. NaN without tasks.
    """
    pairs = [
        (np.asarray(a, dtype=float), np.asarray(b, dtype=float))
        for a, b in zip(losses, others, strict=True)
    ]
    if not pairs or any(not len(a) or not len(b) for a, b in pairs):
        nan = float("nan")
        return nan, Interval(nan, nan)
    value = float(np.mean([probability_of_improvement(a, b) for a, b in pairs]))
    drawn = np.zeros(resamples)
    for a, b in pairs:
        wins = (a[:, None] < b) + 0.5 * (a[:, None] == b)
        i = generator.integers(len(a), size=(resamples, len(a)))
        j = generator.integers(len(b), size=(resamples, len(b)))
        drawn += wins[i[:, :, None], j[:, None, :]].mean(axis=(1, 2)) / len(pairs)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return value, Interval(float(low), float(high))
