"""Two arms on the same seeds: which one was better how often, tested exactly, and how many runs decide.

Runs with the same seed see the same data, so they are compared pair by pair. A pair in which both did
equally well says nothing of a difference; what is tested is how the others are split.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Counts = NDArray[np.int64]

LEVEL = 0.05
POWER = 0.8
LADDER = (5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)  # runs of an arm
DRAWS = 4_000  # of a simulation; fewer of a large family, down to …
FEWEST_DRAWS = 400


@dataclass(frozen=True)
class Split:
    """Of the pairs of runs that two arms have: in how many each one was the better."""

    better: int
    worse: int
    equal: int = 0

    @property
    def pairs(self) -> int:
        return self.better + self.worse + self.equal


def sign_test(split: Split) -> float:
    """Two-sided p of no difference: each unequal pair goes either way with probability 1/2.

    The exact binomial test. Of solved and unsolved runs it is McNemar's (1947, Psychometrika 12) exact test,
    and of differences in {-1, 0, 1} the exact sign-flip test. 1 where no pair is unequal.
    """
    unequal = split.better + split.worse
    return float(stats.binomtest(split.better, unequal).pvalue) if unequal else 1.0


def needed(
    split: Split, generator: np.random.Generator, tests: int = 1, level: float = LEVEL
) -> int | None:
    """How many pairs in all would tell the arms apart with probability 0.8; None where not even the most
    of `LADDER` would.

    By simulation from what is there: the shares of better, worse and equal pairs are drawn from their
    posterior after ``split`` (Dirichlet, prior 1/2 each), and then so many pairs from them. ``tests`` is
    the size of the family, whose smallest p must be below level/tests for Holm's first step.
    """
    seen = np.array([split.better, split.worse, split.equal]) + 0.5
    draws = max(FEWEST_DRAWS, DRAWS // tests)
    shares = generator.dirichlet(seen, size=draws)
    for pairs in LADDER:
        if pairs < split.pairs:
            continue
        drawn = generator.multinomial(pairs, shares)
        if np.mean(_rejects(drawn[:, 0], drawn[:, 1], level / tests)) >= POWER:
            return pairs
    return None


def detectable(pairs: int, tests: int = 1, level: float = LEVEL) -> float | None:
    """The least share of pairs, all in favour of one arm, that so many pairs would have told with
    probability 0.8; None where even all of them would not.

    Of arms that are equal in all other pairs that is the difference of their rates.
    """
    counts = np.arange(pairs + 1)
    tells = _rejects(counts, np.zeros_like(counts), level / tests)
    if not tells[-1]:
        return None
    fewest = int(np.argmax(tells))
    # P(X ≥ fewest) = 0.8 for X ~ Binomial(pairs, share) has its share at a quantile of a beta distribution.
    return float(stats.beta.ppf(POWER, fewest, pairs - fewest + 1))


def _rejects(better: Counts, worse: Counts, level: float) -> NDArray[np.bool_]:
    """Whether `sign_test` of each split has p at most ``level``."""
    unequal = better + worse
    most = np.arange(int(unequal.max(initial=0)) + 1)
    # Of n unequal pairs, how many may go the other way; -1 where none may.
    critical = stats.binom.ppf(level / 2, most, 0.5)
    critical = np.where(stats.binom.cdf(critical, most, 0.5) <= level / 2, critical, critical - 1)
    return np.asarray(np.minimum(better, worse) <= critical[unequal])
