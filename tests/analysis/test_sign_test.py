"""Paired comparisons against values by hand, an independent implementation, and planted truth."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.multiplicity import holm
from analysis.statistics.needed import PAIRS, pairs_find, pairs_needed
from analysis.statistics.sign_test import Split, sign_test


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [(3, 0, 0.25), (5, 0, 0.0625), (6, 0, 0.03125), (10, 0, 2 / 1024), (8, 2, 112 / 1024)],
)
def test_by_hand(better: int, worse: int, p: float) -> None:
    for equal in (0, 7):
        assert sign_test(Split(better, worse, equal)) == pytest.approx(p)
        assert sign_test(Split(worse, better, equal)) == pytest.approx(p)


def test_without_unequal_pairs_nothing_is_told() -> None:
    assert sign_test(Split(0, 0, 10)) == 1


def test_it_is_the_sign_flip_test_of_differences_of_one() -> None:
    differences = np.array([1, 1, 1, -1, 1, 0, 1, 1, 0, 1])
    found = stats.permutation_test(
        (differences, np.zeros(10)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_test(Split(7, 1, 2)) == pytest.approx(found.pvalue)


@pytest.mark.parametrize("pairs", [5, 10, 30])
def test_equal_arms_are_told_apart_no_more_often_than_the_level_says(pairs: int) -> None:
    """By enumeration of all splits, whatever the share of equal pairs."""
    for equal in (0.0, 0.5, 0.9):
        size = 0.0
        for unequal in range(pairs + 1):
            often = stats.binom.pmf(unequal, pairs, 1 - equal)
            for better in range(unequal + 1):
                if sign_test(Split(better, unequal - better)) <= 0.05:
                    size += often * stats.binom.pmf(better, unequal, 0.5)
        assert size <= 0.05


def test_of_a_family_of_equal_arms_none_is_told_apart_but_for_the_level() -> None:
    """Six pairs of four arms that share their runs, so that the tests depend on each other."""
    generator, false = np.random.default_rng(0), 0
    for _ in range(400):
        scores = generator.normal(size=(4, 10))
        splits = [
            Split(int((scores[i] < scores[j]).sum()), int((scores[i] > scores[j]).sum()))
            for i in range(4)
            for j in range(i)
        ]
        false += min(holm([sign_test(split) for split in splits])) <= 0.05
    assert false / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(("tests", "fewest"), [(1, 6), (6, 8), (28, 11)])
def test_what_so_many_pairs_would_have_told(tests: int, fewest: int) -> None:
    assert pairs_find(fewest - 1, tests) is None  # 2 · 2^-n is above the level of the family
    for pairs in (fewest, 20, 50):
        least = pairs_find(pairs, tests)
        assert least is not None
        often = [
            stats.binom.pmf(k, pairs, least)
            for k in range(pairs + 1)
            if sign_test(Split(k, 0, pairs - k)) <= 0.05 / tests
        ]
        assert sum(often) == pytest.approx(0.8)


def test_how_many_more_runs_are_needed() -> None:
    def asked(*split: int, tests: int = 1) -> int | None:
        return pairs_needed(Split(*split), np.random.default_rng(1), tests)

    clear, less, none = asked(9, 1), asked(7, 3), asked(5, 5)
    assert clear is not None
    assert less is not None
    assert clear < less
    assert none is None or none > less
    family = asked(9, 1, tests=15)
    assert family is not None
    assert family >= clear
    assert asked(9, 1, 90) is not None
    assert {clear, less, family} <= set(PAIRS)
    assert asked(9, 1) == clear  # the same draws, the same number


def test_so_many_runs_do_decide_where_the_truth_is_what_was_seen() -> None:
    """Planted: X is better in three of four pairs. What is asked for after 20 such pairs finds it."""
    asked = pairs_needed(Split(15, 5), np.random.default_rng(0))
    assert asked is not None
    generator = np.random.default_rng(2)
    better = generator.binomial(asked, 0.75, size=2_000)
    found = np.mean([sign_test(Split(int(b), int(asked - b))) <= 0.05 for b in better])
    # Told of the posterior, whose shares lie on both sides of the truth.
    assert found > 0.8
