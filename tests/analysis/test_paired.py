"""Paired comparisons against Fisher's and R's worked examples, scipy, and planted truth."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import paired
from analysis.statistics.multiplicity import holm
from analysis.statistics.sign_test import Split, sign_test
from study.base.errors import UserError

# Darwin's Zea mays, crossed minus self-fertilised, eighths of an inch. Fisher (1935), ch. 3.
ZEA = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_sign_flips_as_in_fisher() -> None:
    """Fisher (1935), section 21: 863 of 2^15 sums are at least 314, so 1,726 on both sides."""
    found = paired.sign_flip_test(ZEA, np.random.default_rng(0))
    assert found == 1726 / 2**15
    many = paired.sign_flip_test([*ZEA, 0, 0], np.random.default_rng(0))
    assert many == pytest.approx(found, abs=4 * math.sqrt(0.05 / 9999))


def test_sign_flips_keep_the_level_and_find_a_shift() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2000, 8))
    p = np.array([paired.sign_flip_test(row, generator) for row in noise])
    # Exact: the level is the multiple of 2/2^8 below .05, so .0469.
    assert (p <= 0.05).mean() == pytest.approx(12 / 256, abs=4 * math.sqrt(0.05 / 2000))
    assert paired.sign_flip_test(noise[0] + 5, generator) == 2 / 2**8
    with pytest.raises(UserError, match="finite"):
        paired.sign_flip_test([math.inf], generator)


def test_paired_difference_covers() -> None:
    generator = np.random.default_rng(0)
    held = []
    for _ in range(150):
        shared = generator.normal(size=20)
        first = shared + generator.exponential(size=20)
        found = paired.paired_difference(first, shared, generator).interval
        held.append(found.low <= 1 <= found.high)
    assert np.mean(held) > 0.84  # 95 % less what 20 skewed values lose, four errors of 150


def test_paired_difference_tells_what_it_cannot_say() -> None:
    generator = np.random.default_rng(0)
    assert "same" in paired.paired_difference([2, 3, 4], [1, 2, 3], generator).note
    assert "one pair" in paired.paired_difference([2], [1], generator).note
    assert "finite" in paired.paired_difference([math.inf, 1], [1, 1], generator).note
    tied = paired.paired_difference([1, 1, 1, 1, 5], [0] * 5, generator, "median")
    assert tied.value == 1
    assert tied.interval.low <= 1 <= tied.interval.high
    with pytest.raises(UserError, match="3 and 2"):
        paired.paired_difference([1, 2, 3], [1, 2], generator)


def test_mcnemar_is_the_binomial_tail() -> None:
    tail = sum(math.comb(9, k) for k in range(2)) / 2**9
    assert sign_test(Split(1, 8)) == pytest.approx(2 * tail)
    assert sign_test(Split(0, 0)) == 1
    assert sign_test(Split(5, 0)) == 2 / 2**5


def test_holm() -> None:
    """By hand: .005 × 4, .01 × 3, then .03 × 2, and .04 not below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    p = np.random.default_rng(0).random((4000, 5))
    wrong = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert wrong == pytest.approx(1 - (1 - 0.01) ** 5, abs=4 * math.sqrt(0.05 / 4000))


def test_equivalence_is_two_tests_at_the_level() -> None:
    generator = np.random.default_rng(0)
    for row in generator.normal(size=(200, 6)):
        p = max(
            stats.ttest_1samp(row, -1.5, alternative="greater").pvalue,
            stats.ttest_1samp(row, 1.5, alternative="less").pvalue,
        )
        assert paired.equivalent_means(row, np.zeros(6), 1.5).shown == (p < 0.05)
    # A true difference of just the margin is called equivalent at most one time in twenty.
    edge = generator.normal(loc=1, size=(2000, 10))
    wrong = np.mean([paired.equivalent_means(row, np.zeros(10), 1).shown for row in edge])
    assert wrong <= 0.05 + 4 * math.sqrt(0.05 / 2000)


def test_equal_rates_of_few_runs_show_no_equivalence() -> None:
    assert not paired.equivalent_rates(5, 5, 5, 5, 0.2).shown
    assert paired.equivalent_rates(50, 50, 50, 50, 0.2).shown
    with pytest.raises(UserError, match="above 0"):
        paired.equivalent_rates(5, 5, 5, 5, 0)
