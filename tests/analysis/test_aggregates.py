"""Statistics over tasks against plain loops, numerical integration and planted truth."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.aggregates import (
    improvement_interval,
    integrated_profile,
    normalized,
    performance_profile,
)
from study.base.errors import UserError


def test_normalized_scores_keep_diverged_runs() -> None:
    found = normalized([0.5, 1.0, 0.0, math.nan, math.inf], chance=1.0)
    assert found.tolist() == [0.5, 0, 1, -math.inf, -math.inf]
    with pytest.raises(UserError, match="below that of chance"):
        normalized([1], chance=0)


def test_profile_is_one_minus_the_distribution() -> None:
    values = np.random.default_rng(0).random(30)
    tau = np.linspace(-0.1, 1.1, 25)
    expected = stats.ecdf(values).sf.evaluate(tau)
    assert performance_profile([values[:10], values[10:]], tau) == pytest.approx(expected)
    assert performance_profile([[-math.inf, 1]], [-5, 2]).tolist() == [0.5, 0]


def test_integrated_profile_is_the_integral() -> None:
    times = np.random.default_rng(0).exponential(size=(3, 6))
    times[0, 1] = times[2, :2] = np.inf
    grid = np.linspace(1, 4, 30_001)
    ratios = times / times.min(axis=0)
    expected = [np.mean([(r <= grid).mean() for r in row]) for row in ratios]
    assert integrated_profile(times) == pytest.approx(expected, abs=1e-4)  # of the grid
    # By hand: best of one task, twice the best of the other: (1 + 2/3) / 2.
    assert integrated_profile([[1, 2], [np.inf, 1]]) == pytest.approx([5 / 6, 1 / 2])
    assert integrated_profile([[np.inf], [np.inf]]).tolist() == [0, 0]
    with pytest.raises(UserError, match="above 0"):
        integrated_profile([[0, 1]])


def test_improvement_covers_its_truth() -> None:
    generator = np.random.default_rng(0)
    truth = stats.norm.cdf(1 / math.sqrt(2))
    held = []
    for _ in range(100):
        a, b = generator.normal(size=(3, 10)), generator.normal(1, size=(3, 10))
        value, found = improvement_interval(list(a), list(b), generator, resamples=400)
        u = [stats.mannwhitneyu(y, x).statistic / 100 for x, y in zip(a, b, strict=True)]
        assert value == pytest.approx(np.mean(u))
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.95 - 0.03 - 4 * math.sqrt(0.0475 / 100)
    assert math.isnan(improvement_interval([[]], [[1.0]], generator)[0])
