"""Intervals over searches and their runs: against scipy, and their coverage on planted truth."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.few_runs import wilson_interval
from analysis.statistics.two_level import over_searches, solved_over_searches


def test_the_interval_is_scipys_of_the_means() -> None:
    groups = [[1.0, 2.0], [4.0, 5.0, 6.0], [3.0]]
    found = over_searches(groups)
    expected = stats.ttest_1samp([1.5, 5.0, 3.0], 0).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected))
    assert (found.searches, found.runs) == (3, 6)


@pytest.mark.parametrize("searches", [3, 5])
def test_scores_are_covered_at_the_level(searches: int) -> None:
    generator = np.random.default_rng(0)
    luck = generator.normal(size=(1000, searches, 1))
    scores = luck + generator.normal(size=(1000, searches, 5))
    held = [i.low <= 0 <= i.high for i in (over_searches(list(s)).interval for s in scores)]
    assert np.mean(held) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 1000))


@pytest.mark.parametrize(("a", "b"), [(1.4, 0.6), (14, 6)])
@pytest.mark.parametrize("searches", [3, 5])
def test_solved_fractions_are_covered(searches: int, a: float, b: float) -> None:
    """Searches' rates are drawn from a beta distribution with mean 0.7: widely, and narrowly."""
    generator = np.random.default_rng(0)
    rates = generator.beta(a, b, size=(400, searches, 1))
    solved = generator.random((400, searches, 5)) < rates
    held = [
        i.low <= 0.7 <= i.high for i in (solved_over_searches(list(s)).interval for s in solved)
    ]
    assert np.mean(held) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)


def test_one_search_and_no_spread() -> None:
    one = solved_over_searches([[1, 1, 0]])
    assert one.interval == wilson_interval(2, 3)
    assert "tuning luck" in one.note
    assert solved_over_searches([[1] * 5] * 3).interval == wilson_interval(15, 15)
    assert over_searches([]).note == "no runs"
    assert math.isnan(over_searches([[1.0, math.inf], [1.0]]).interval.low)
