"""The Pareto front, by its definition and on all small cases."""

import itertools
import math

import numpy as np
import pytest

from analysis.statistics.pareto import front


@pytest.mark.parametrize(
    ("costs", "qualities", "expected"),
    [
        ([1, 2, 3], [0.1, 0.5, 0.9], [0, 1, 2]),
        ([3, 2, 1], [0.9, 0.9, 0.9], [2]),
        ([1, 1], [0.5, 0.5], [0, 1]),
        ([1, 1], [0.5, 0.6], [1]),
        ([2, 1, 3], [0.2, 0.5, 0.4], [1]),
        ([1, math.nan, 2], [0.5, 1, math.nan], [0]),
        ([], [], []),
    ],
)
def test_by_hand(costs: list, qualities: list, expected: list) -> None:
    assert front(costs, qualities) == expected


def test_along_the_front_more_cost_is_more_quality_and_the_rest_is_beaten() -> None:
    for cost, quality in itertools.product(itertools.product((1, 2, 3), repeat=4), repeat=2):
        found = front(cost, quality)
        assert found
        pairs = [(cost[i], quality[i]) for i in found]
        distinct = sorted(set(pairs))
        assert all(b[1] > a[1] for a, b in itertools.pairwise(distinct))
        for i in range(4):
            beaten = any(
                np.less_equal(c, cost[i]) and q >= quality[i] and (c, q) != (cost[i], quality[i])
                for c, q in pairs
            )
            assert beaten != (i in found)
