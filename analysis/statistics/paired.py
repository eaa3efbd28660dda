"""Two arms whose runs share seeds and data: differences within pairs, and what they show."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.few_runs import CONFIDENCE, Array, Interval
from analysis.statistics.proportions import newcombe_interval
from study.base.errors import UserError

EXACT = 16  # pairs: 65,536 signings
RESAMPLES = 9999


@dataclass(frozen=True)
class Difference:
    """First minus second, over pairs. ``note`` says where the interval is not a BCa interval."""

    value: float
    interval: Interval
    pairs: int
    note: str = ""


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    generator: np.random.Generator,
    statistic: Literal["mean", "median"] = "mean",
    confidence: float = CONFIDENCE,
) -> Difference:
    """Mean or median of the differences with a BCa interval. Efron (1987), J. Am. Stat. Assoc. 82.

    Of fewer than two pairs there is no interval: [NaN, NaN]. Of fewer than ten it is too narrow.
    Raises UserError unless there are as many first as second values.
    """
    differences = _differences(first, second)
    pairs = len(differences)
    nothing = Interval(float("nan"), float("nan"))
    if pairs == 0:
        return Difference(float("nan"), nothing, 0, "no pairs")
    measure = np.mean if statistic == "mean" else np.median
    value = float(measure(differences))
    if pairs < 2:
        return Difference(value, nothing, pairs, "one pair has no spread")
    if not np.isfinite(differences).all():
        return Difference(value, nothing, pairs, "a difference is not finite")
    if np.ptp(differences) == 0:
        return Difference(value, Interval(value, value), pairs, "all differences are the same")
    for method in ("BCa", "percentile"):
        # The median of tied differences can have a jackknife without spread: BCa is then undefined.
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            found = stats.bootstrap(
                (differences,), measure, confidence_level=confidence, method=method, rng=generator
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    note = "" if method == "BCa" else "percentile interval: BCa is undefined here"
    return Difference(value, Interval(float(found.low), float(found.high)), pairs, note)


def sign_flip_test(
    differences: ArrayLike, generator: np.random.Generator, resamples: int = RESAMPLES
) -> float:
    """Two-sided p-value of a symmetric distribution about 0, by flipping signs. Fisher (1935).

    Exact up to 16 pairs; beyond, (1 + as extreme) / (1 + resamples), which keeps the level too.
    The smallest p-value of n pairs is 2 / 2^n: five pairs cannot reach .05. 1 for no pairs.
    """
    d = np.asarray(differences, dtype=float)
    if not np.isfinite(d).all():
        raise UserError(
            "signs are flipped of finite differences only; compare ranks or solved runs"
        )
    if len(d) == 0:
        return 1.0
    seen = abs(d.sum()) - 1e-9 * np.abs(d).sum()  # equal sums differ by rounding
    if len(d) <= EXACT:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= seen).mean())
    signs = generator.choice([-1.0, 1.0], size=(resamples, len(d)))
    return float((1 + (np.abs(signs @ d) >= seen).sum()) / (1 + resamples))


@dataclass(frozen=True)
class Equivalence:
    """Whether the interval (of 1 - 2α) lies within ±margin. If not, nothing is shown either way."""

    shown: bool
    interval: Interval
    margin: float


def equivalent_means(
    first: ArrayLike, second: ArrayLike, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided t-tests on paired differences. Schuirmann (1987), J. Pharmacokinet. Biopharm. 15.

    Both reject at ``alpha`` exactly when the 1 - 2α interval is within the margin, which is to be
    stated before the runs. Fewer than two pairs show nothing.
    """
    _check_margin(margin)
    d = _differences(first, second)
    if len(d) < 2 or not np.isfinite(d).all():
        return Equivalence(False, Interval(float("-inf"), float("inf")), margin)
    half = stats.t.ppf(1 - alpha, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return _within(Interval(float(d.mean() - half), float(d.mean() + half)), margin)


def equivalent_rates(
    successes: int, runs: int, other_successes: int, others: int, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two solved fractions, not paired, by Newcombe's interval of their difference."""
    _check_margin(margin)
    interval = newcombe_interval(successes, runs, other_successes, others, 1 - 2 * alpha)
    return _within(interval, margin)


def _within(interval: Interval, margin: float) -> Equivalence:
    return Equivalence(-margin < interval.low and interval.high < margin, interval, margin)


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise UserError(f"a margin of {margin} leaves nothing to be within; give one above 0")


def _differences(first: ArrayLike, second: ArrayLike) -> Array:
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(f"pairs need as many values on both sides, not {a.size} and {b.size}")
    with np.errstate(invalid="ignore"):
        return a - b
