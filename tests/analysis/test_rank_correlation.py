"""Rank correlations against scipy, published numbers, exact counts and simulations."""

import itertools
import math

import numpy as np
import pytest
from cases import each
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.multiplicity import holm
from analysis.statistics.rank_correlation import (
    MINIMUM,
    fisher_interval,
    spearman,
    spearman_within,
)

tied = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=MINIMUM, max_size=30)


@given(tied)
def test_agrees_with_scipy_on_ties(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs).T
    found = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert "is the same throughout" in found.refusal
        return
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert -1 <= found.interval.low <= found.rho <= found.interval.high <= 1
    assert (found.p < 0.05) == (found.interval.low > 0 or found.interval.high < 0)


def test_interval_as_published() -> None:
    # The example of ci.spear in Bonett's R package statpsych, which prints four digits and more.
    y = [21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19]
    x = [67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51]
    found = spearman(x, y)
    assert found.rho == pytest.approx(0.8699639, abs=1e-7)
    assert found.interval.low == pytest.approx(0.5840951, abs=1e-6)
    assert found.interval.high == pytest.approx(0.9638297, abs=1e-6)


def test_only_the_order_counts_and_infinity_has_a_place() -> None:
    x = np.array([-3.0, -1.0, 0.5, 2.0, 7.0, 9.0])
    y = np.array([2.0, 1.0, 3.0, 5.0, 4.0, 6.0])
    found = spearman(np.exp(x), y**3)
    assert found == spearman(x, y)
    assert spearman([*x[:-1], math.inf], y) == found
    assert spearman([-math.inf, *x[1:]], y) == found
    assert spearman(-x, y).rho == pytest.approx(-found.rho)


@each(
    ("x", "y", "words"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], "n = 4, needed 5"),
        ([], [], "n = 0"),
        ([7] * 6, range(6), "the start is the same throughout"),
        (range(6), [2] * 6, "the end is the same throughout"),
    ],
)
def test_refuses_in_words(x: list[float], y: list[float], words: str) -> None:
    found = spearman(x, y, names=("the start", "the end"))
    assert words in found.refusal
    assert all(map(math.isnan, (found.rho, found.interval.low, found.interval.high, found.p)))


def test_nan_is_the_caller_s_to_count() -> None:
    with pytest.raises(ValueError, match="no rank"):
        spearman([1, 2, math.nan, 4, 5], range(5))
    with pytest.raises(ValueError, match="5 and 4"):
        spearman(range(5), range(4))


def test_five_pairs_in_order_are_no_certainty() -> None:
    found = spearman(range(5), range(5))
    assert found.rho == 1
    assert found.interval.high == 1
    assert found.interval.low < 0.5
    # Of the 120 orders of five, 2 are perfect: the exact p is 1/60.
    exact = sum(
        abs(stats.spearmanr(range(5), order).statistic) > 1 - 1e-9
        for order in itertools.permutations(range(5))
    )
    assert exact / math.factorial(5) == pytest.approx(1 / 60)
    assert 1 / 60 < found.p < 0.05


def test_the_interval_shrinks_as_fisher_has_it() -> None:
    found, _ = fisher_interval(0.0, 103)
    assert found.high == pytest.approx(math.tanh(stats.norm.ppf(0.975) / 10))
    assert found.low == -found.high


def levels(generator: np.random.Generator, count: int, rho: float) -> np.ndarray:
    """Pairs whose y is, as outcomes are, in part on a grid of evaluations and in part all alike."""
    x, noise = generator.normal(size=(2, count))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    return np.array([x, np.where(y < -0.8, -9, np.where(y > 0.3, np.round(4 * y) / 4, y))])


@each(("count", "rho"), [(8, 0.0), (12, 0.6), (60, 0.0), (60, 0.6)], ids=str)
def test_the_interval_holds_the_true_value(count: int, rho: float) -> None:
    generator = np.random.default_rng(count)
    true = stats.spearmanr(*levels(generator, 100_000, rho)).statistic
    found = [spearman(*levels(generator, count, rho)).interval for _ in range(300)]
    held = sum(interval.low <= true <= interval.high for interval in found) / 300
    assert 0.91 < held < 0.995  # of 95 %, a rate of 300 has a standard error of 1.3 %


def test_within_strata_of_one_size_it_is_the_mean() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4, 9))
    strata = np.repeat(np.arange(4), 9)
    found = spearman_within(x.ravel(), y.ravel(), strata)
    each_own = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert found.rho == pytest.approx(np.mean(each_own))
    assert (found.pairs, found.strata) == (36, 4)
    # Three pairs are the price of three more strata.
    assert found.interval == fisher_interval(found.rho, 33)[0]


def test_within_one_stratum_it_is_the_plain_one() -> None:
    x, y = np.random.default_rng(1).integers(0, 5, size=(2, 12))
    assert spearman_within(x, y, ["a"] * 12) == spearman(x, y)


def test_what_differs_between_strata_has_no_part_in_it() -> None:
    # Simpson's paradox: it falls in every stratum and rises from one to the next.
    x = np.concatenate([np.arange(6) + 10 * k for k in range(3)])
    y = np.concatenate([-np.arange(6) + 10 * k for k in range(3)])
    strata = np.repeat(["a", "b", "c"], 6)
    assert spearman_within(x, y, strata).rho == pytest.approx(-1)
    # 1 - 6 Σd² / (n³ - n), and Σd² = 3 (5² + 3² + 1² + 1² + 3² + 5²)
    assert spearman(x, y).rho == pytest.approx(1 - 6 * 210 / (18**3 - 18))


def test_a_stratum_without_variation_is_left_out_and_counted_so() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 10))
    strata = np.repeat([0, 1], 10)
    found = spearman_within([*x, *x], [*y, *[3.0] * 10], strata)
    assert (found.rho, found.pairs, found.strata) == (spearman(x, y).rho, 10, 1)
    every = spearman_within([*x, *x], np.repeat([1.0, 2.0], 10), strata, names=("a", "b"))
    assert every.refusal == "a or b is the same throughout in each stratum"
    few = spearman_within([1, 2, 1, 2, 1, 2], [1, 2, 1, 2, 2, 1], [0, 0, 1, 1, 2, 2])
    assert few.refusal == "too few to say (n = 6 in 3 strata)"


def test_within_strata_the_interval_holds_the_true_value() -> None:
    generator = np.random.default_rng(3)
    sizes = (20, 12, 8, 8)
    strata = np.repeat(np.arange(4), sizes)
    true = stats.spearmanr(*levels(generator, 100_000, 0.4)).statistic
    held = 0
    for _ in range(300):
        x, y = np.concatenate([levels(generator, size, 0.4) for size in sizes], axis=1)
        found = spearman_within(x + 5 * strata, y - 5 * strata, strata).interval
        held += found.low <= true <= found.high
    assert 0.91 < held / 300 < 0.995


def test_a_perfect_order_is_no_more_than_one() -> None:
    """Of these ties rounding makes -1.0000000000000002."""
    first, second = [1.0, 3, 4, 1, 2], [4.0, 1, 0, 4, 2]
    assert spearman(first, second).rho == -1


def test_holm_by_hand() -> None:
    # Of .01, .03, .04: 3 x .01, 2 x .03, and .04, which may not fall below the one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    found = holm([0.9, math.nan, 0.02])
    assert found[[0, 2]] == pytest.approx([0.9, 0.04])
    assert math.isnan(found[1])
    assert holm([0.8, 0.7]) == pytest.approx([1, 1])
    assert len(holm([])) == 0
