"""Exact tests of two solved fractions against scipy, Newcombe's published intervals, enumeration."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import proportions
from study.base.errors import UserError


def test_fisher_is_scipys_for_every_table() -> None:
    found = proportions.fisher_table(5, 7)
    for s, t in np.ndindex(6, 8):
        assert found[s, t] == pytest.approx(stats.fisher_exact([[s, 5 - s], [t, 7 - t]]).pvalue)


@pytest.mark.parametrize(("s", "n", "t", "m"), [(5, 5, 1, 5), (7, 10, 2, 8), (3, 3, 0, 3)])
def test_boschloo_is_the_largest_rejection_probability(s: int, n: int, t: int, m: int) -> None:
    """A plain loop over tables and a finer grid of rates; scipy doubles a one-sided test instead."""
    fisher = {
        (a, b): stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
        for a, b in np.ndindex(n + 1, m + 1)
    }
    rates = np.linspace(0, 1, 2001)
    total = sum(
        stats.binom.pmf(a, n, rates) * stats.binom.pmf(b, m, rates)
        for (a, b), p in fisher.items()
        if p <= fisher[s, t] * (1 + 1e-7)
    )
    # A grid of 501 rates against one of 2001: the maximum is flat.
    assert proportions.boschloo(s, n, t, m) == pytest.approx(np.max(total), abs=2e-5)
    assert proportions.boschloo(s, n, t, m) <= fisher[s, t]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)  # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10
def test_newcombe_interval_as_published(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = proportions.newcombe_interval(*counts)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("runs", "others"), [(3, 3), (5, 5), (10, 10), (10, 5)])
def test_size_is_never_above_the_level(runs: int, others: int) -> None:
    assert proportions.size(runs, others) <= 0.05 + 1e-12


def test_power_finds_what_is_planted() -> None:
    assert proportions.power(0.9, 20, 0.2, 20) > 0.95
    generator = np.random.default_rng(0)
    s, t = generator.binomial(10, 0.9, 20_000), generator.binomial(10, 0.3, 20_000)
    seen = (proportions.boschloo_table(10, 10)[s, t] <= 0.05).mean()
    # Four standard errors of a frequency of 20,000.
    assert proportions.power(0.9, 10, 0.3, 10) == pytest.approx(seen, abs=4 * 0.5 / 20_000**0.5)


def test_impossible_counts_are_told() -> None:
    with pytest.raises(UserError, match="from 0 to 3"):
        proportions.boschloo(4, 3, 0, 3)
