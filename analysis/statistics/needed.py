"""How many more runs would decide between two arms, from the runs there are."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.few_runs import Array
from analysis.statistics.proportions import boschloo_table, fisher_table, power
from analysis.statistics.sign_test import LEVEL, Split, rejects
from study.base.errors import UserError

LADDER = (10, 15, 20, 30, 50, 100, 200)  # runs of each arm
PAIRS = (5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)  # of runs with the same seed
POWER = 0.8
DRAWS = 4_000  # of a simulation; fewer of a large family, down to …
FEWEST_DRAWS = 400
_BOSCHLOO_UP_TO = 50  # runs: beyond, Fisher's test, which is quicker and a little less powerful


@dataclass(frozen=True)
class Needed:
    """``runs`` of each arm in all; None with a ``reason``. ``power`` is at ``runs`` or at the last."""

    runs: int | None
    power: float
    reason: str = ""


def runs_needed(
    successes: int, runs: int, other_successes: int, others: int, alpha: float = 0.05
) -> Needed:
    """Smallest number of the ladder at which new runs of two unpaired arms are told apart.

    New successes follow a beta-binomial distribution with Beta(s + ½, n - s + ½), Jeffreys'
    posterior of what was observed. Power is the probability that the exact test rejects, over that
    distribution: Boschloo's up to 50 runs, Fisher's beyond. All tables are enumerated, so there is
    no randomness. O'Hagan, Stevens & Campbell (2005), Pharmaceutical Statistics 4, call it assurance.
    """
    for s, n in ((successes, runs), (other_successes, others)):
        if not 0 <= s <= n:
            raise UserError(f"{s} successes of {n} runs; give a number from 0 to {n}")
    found = 0.0
    for count in LADDER:
        k = np.arange(count + 1)
        chance = np.outer(
            stats.betabinom.pmf(k, count, successes + 0.5, runs - successes + 0.5),
            stats.betabinom.pmf(k, count, other_successes + 0.5, others - other_successes + 0.5),
        )
        found = float(chance[_p_values(count) <= alpha].sum())
        if found >= POWER:
            return Needed(count, found)
    apart = abs(successes / runs - other_successes / others) if runs and others else 0.0
    return Needed(
        None,
        found,
        f"a difference of {apart:.2f}, known from {runs} and {others} runs, is too small or too "
        f"uncertain: {LADDER[-1]} runs of each arm would decide with probability {found:.2f}",
    )


def difference_found(runs: int, alpha: float = 0.05) -> float | None:
    """Smallest difference of rates that this many runs of each arm find with power .8.

    It is looked for at rates ½ ± δ/2, where a difference is hardest to find, in steps of .01. None
    where not even 0 against 1 is found.
    """
    for difference in np.arange(1, 101) / 100:
        if power(0.5 + difference / 2, runs, 0.5 - difference / 2, runs, alpha) >= POWER:
            return float(difference)
    return None


def pairs_needed(
    split: Split, generator: np.random.Generator, tests: int = 1, level: float = LEVEL
) -> int | None:
    """How many pairs in all would tell the arms apart with probability 0.8; None where not even the most
    of `PAIRS` would.

    By simulation from what is there: the shares of better, worse and equal pairs are drawn from their
    posterior after ``split`` (Dirichlet, prior 1/2 each), and then so many pairs from them. ``tests`` is
    the size of the family, whose smallest p must be below level/tests for Holm's first step.
    """
    seen = np.array([split.better, split.worse, split.equal]) + 0.5
    draws = max(FEWEST_DRAWS, DRAWS // tests)
    shares = generator.dirichlet(seen, size=draws)
    for pairs in PAIRS:
        if pairs < split.pairs:
            continue
        drawn = generator.multinomial(pairs, shares)
        if np.mean(rejects(drawn[:, 0], drawn[:, 1], level / tests)) >= POWER:
            return pairs
    return None


def pairs_find(pairs: int, tests: int = 1, level: float = LEVEL) -> float | None:
    """The least share of pairs, all in favour of one arm, that so many pairs would have told with
    probability 0.8; None where even all of them would not.

    Of arms that are equal in all other pairs that is the difference of their rates.
    """
    counts = np.arange(pairs + 1)
    tells = rejects(counts, np.zeros_like(counts), level / tests)
    if not tells[-1]:
        return None
    fewest = int(np.argmax(tells))
    # P(X ≥ fewest) = 0.8 for X ~ Binomial(pairs, share) has its share at a quantile of a beta distribution.
    return float(stats.beta.ppf(POWER, fewest, pairs - fewest + 1))


def _p_values(count: int) -> Array:
    table = boschloo_table if count <= _BOSCHLOO_UP_TO else fisher_table
    return table(count, count)
