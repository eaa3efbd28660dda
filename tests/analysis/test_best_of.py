"""The expected best's interval and the front, against plain loops and planted truth."""

import math

import numpy as np
import pytest

from analysis.statistics.best_of import expected_best, expected_best_interval, pareto
from study.base.errors import UserError


def test_interval_of_the_mean_covers_and_is_seeded() -> None:
    generator = np.random.default_rng(0)
    held = []
    for _ in range(100):
        low, high = expected_best_interval(generator.random(20), generator, resamples=200)
        held.append(low[2] <= 1 / 4 <= high[2])  # the lowest of three uniform scores
    assert np.mean(held) >= 0.95 - 0.03 - 4 * math.sqrt(0.0475 / 100)
    scores = generator.random(8)
    first, again = (expected_best_interval(scores, np.random.default_rng(1)) for _ in range(2))
    assert (np.array(first) == np.array(again)).all()
    assert (first[0] <= expected_best(scores) + 1e-12).all()


def test_interval_of_diverged_and_of_single_scores() -> None:
    low, high = expected_best_interval([1.0, math.inf, 2.0], np.random.default_rng(0))
    assert high[0] == math.inf
    assert not np.isnan([low, high]).any()
    assert np.isnan(expected_best_interval([1.0], np.random.default_rng(0))[0]).all()


def test_front_is_what_nothing_dominates() -> None:
    generator = np.random.default_rng(0)
    for points in generator.integers(5, size=(50, 8, 2)):
        best = {
            i
            for i, p in enumerate(points)
            if not any((q <= p).all() and (q < p).any() for q in points)
        }
        found = pareto(*points.T)
        assert set(found) == best
        assert (np.diff(points[found, 0]) >= 0).all()
    assert pareto([1, math.nan, 2], [1, 0, math.inf]) == [0]
    with pytest.raises(UserError, match="2 for 1"):
        pareto([1], [1, 2])
