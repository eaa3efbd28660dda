"""Two arms on the same seeds: which one was better how often, tested exactly.

Runs with the same seed see the same data, so they are compared pair by pair. A pair in which both did
equally well says nothing of a difference; what is tested is how the others are split.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Counts = NDArray[np.int64]

LEVEL = 0.05


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


def rejects(better: Counts, worse: Counts, level: float) -> NDArray[np.bool_]:
    """Whether `sign_test` of each of many splits has p at most ``level``."""
    unequal = better + worse
    most = np.arange(int(unequal.max(initial=0)) + 1)
    # Of n unequal pairs, how many may go the other way; -1 where none may.
    critical = stats.binom.ppf(level / 2, most, 0.5)
    critical = np.where(stats.binom.cdf(critical, most, 0.5) <= level / 2, critical, critical - 1)
    return np.asarray(np.minimum(better, worse) <= critical[unequal])
