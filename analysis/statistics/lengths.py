"""Success against length: the longest sequences that an arm still solves, of few runs a length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import expit, logit

from analysis.statistics.few_runs import CONFIDENCE, Array
from study.base.errors import UserError

# Slopes of the logit against ln length, of a curve that falls: from nearly level to a step.
SLOPES = -np.geomspace(0.05, 60, 90)
PLACES = 400  # lengths tried, from a thousandth of the shortest to a thousand times the longest


@dataclass(frozen=True)
class SolvedLength:
    """Length at which ``fraction`` of the runs solve. None: beyond the lengths that were tried.

    ``length`` and ``high`` are None above the longest, ``low`` is None below the shortest.
    ``below`` says that ``length`` is None because it is below the shortest. Likewise an interval
    with ``low`` above the longest is wholly beyond it, and its ``low`` is then the longest.
    """

    fraction: float
    length: float | None
    low: float | None
    high: float | None
    shortest: float
    longest: float
    below: bool = False

    @property
    def words(self) -> str:
        if self.length is not None:
            return f"{self.length:.3g}"
        return f"below {self.shortest:g}" if self.below else f"beyond {self.longest:g}"


def solved_length(
    lengths: ArrayLike,
    solved: ArrayLike,
    runs: ArrayLike,
    fraction: float = 0.5,
    confidence: float = CONFIDENCE,
) -> SolvedLength:
    """The length at which a falling logistic curve in ln length passes ``fraction``, and its interval.

    logit p = logit f + b (ln L - ln L_f), b < 0, maximised with Jeffreys' penalty ½ ln |I|. Firth
    (1993), Biometrika 80; Heinze & Schemper (2002), Statistics in Medicine 21: finite where every
    run of one length solves and none of the next. The interval holds every L_f whose penalised
    likelihood, at its best slope, is not rejected by χ² with one degree of freedom. In simulation
    95 % intervals held the length of half in 94 to 98 % of cases. They held that of .9 in 91 to 98 %,
    and in 87 % where the curve was steep and three runs were made of each length.

    ``solved`` of ``runs`` at each of ``lengths``. Raises UserError for fewer than two lengths.
    """
    x, k, n = (np.asarray(v, dtype=float) for v in (lengths, solved, runs))
    tried = x[n > 0]
    if len(np.unique(tried)) < 2:
        raise UserError("a curve against length needs runs of at least two lengths")
    if (x <= 0).any() or (k < 0).any() or (k > n).any():
        raise UserError(
            "lengths are above 0, and solved runs between 0 and the runs of their length"
        )
    if not 0 < fraction < 1:
        raise UserError(
            f"a fraction of {fraction} is passed at no length; give one between 0 and 1"
        )
    shortest, longest = float(tried.min()), float(tried.max())
    places = np.linspace(np.log(shortest / 1000), np.log(longest * 1000), PLACES)
    best = places[_profile(places, np.log(x), k, n, fraction).argmax()]
    step = places[1] - places[0]
    # Once more, finely, around the best and within the lengths tried.
    fine = np.linspace(best - step, best + step, 41)
    inner = np.linspace(np.log(shortest), np.log(longest), PLACES)
    places = np.unique(np.concatenate([places, fine, inner]))
    profile = _profile(places, np.log(x), k, n, fraction)
    best = places[profile.argmax()]
    held = places[2 * (profile.max() - profile) <= stats.chi2.ppf(confidence, 1)]
    low, high, middle = float(np.exp(held[0])), float(np.exp(held[-1])), float(np.exp(best))
    # The grid's ends are rounded.
    edge = 1 + 1e-9
    within = shortest / edge <= middle <= longest * edge
    return SolvedLength(
        fraction,
        middle if within else None,
        None if low < shortest / edge else min(low, longest),
        None if high > longest * edge else max(high, shortest),
        shortest,
        longest,
        middle < shortest / edge,
    )


def _profile(places: Array, x: Array, k: Array, n: Array, fraction: float) -> Array:
    """Penalised log likelihood at every place, each at its best slope. (P,)."""
    slope = SLOPES[None, :, None]
    at = x[None, None, :] - places[:, None, None]  # (P, 1, L)
    p = np.clip(expit(logit(fraction) + slope * at), 1e-12, 1 - 1e-12)  # (P, S, L)
    likelihood = (k * np.log(p) + (n - k) * np.log1p(-p)).sum(axis=-1)
    weight = n * p * (1 - p)
    # |I| of intercept and slope, which Firth's penalty takes in any parameters of the same curve.
    total = weight.sum(axis=-1)
    mean = (weight * x).sum(axis=-1) / total
    spread = (weight * (x - mean[..., None]) ** 2).sum(axis=-1)
    with np.errstate(divide="ignore"):
        penalty = 0.5 * np.log(total * spread)
    return (likelihood + penalty).max(axis=1)
