"""How many runs decide, against simulation of those runs and enumeration by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.needed import difference_found, runs_needed
from study.base.errors import UserError


def test_a_clear_difference_needs_few_and_none_needs_many() -> None:
    assert runs_needed(5, 5, 0, 5).runs == 10
    same = runs_needed(3, 5, 3, 5)
    assert same.runs is None
    assert "200 runs" in same.reason
    between = runs_needed(9, 10, 5, 10)
    assert between.runs is None or between.runs > 10
    with pytest.raises(UserError, match="from 0 to 5"):
        runs_needed(6, 5, 0, 5)


def test_the_power_is_that_of_simulated_runs() -> None:
    found = runs_needed(5, 5, 0, 5)
    assert found.runs is not None
    generator = np.random.default_rng(0)
    rejected = []
    for _ in range(400):
        s, t = generator.binomial(found.runs, generator.beta([5.5, 0.5], [0.5, 5.5]))
        # Fisher's, an independent and slightly less powerful test.
        rejected.append(
            stats.fisher_exact([[s, found.runs - s], [t, found.runs - t]]).pvalue <= 0.05
        )
    assert np.mean(rejected) == pytest.approx(found.power, abs=0.04 + 4 * math.sqrt(0.16 / 400))


def test_more_runs_find_smaller_differences() -> None:
    found = [difference_found(n) for n in (5, 10, 30)]
    assert None not in found
    assert found == sorted(found, reverse=True)  # type: ignore[type-var]
    # By hand: of two runs of each arm, 2/2 against 0/2 has probability 1/8 at equal rates of ½.
    assert difference_found(2) is None
