"""Friedman's test and Nemenyi's critical difference against Demšar (2006) and scipy."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.ranks import critical_difference, friedman, groups, iman_davenport
from study.base.errors import UserError


def test_as_in_demsar() -> None:
    """Demšar (2006), section 3.2.2: 4 classifiers on 14 data sets, from the mean ranks he gives."""
    means = np.array([3.143, 2.000, 2.893, 1.964])
    chi2 = 12 * 14 / (4 * 5) * ((means**2).sum() - 4 * 25 / 4)
    assert chi2 == pytest.approx(9.28, abs=5e-3)
    assert iman_davenport(chi2, 14, 4)[0] == pytest.approx(3.69, abs=5e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


def test_friedman_is_scipys_with_and_without_ties() -> None:
    generator = np.random.default_rng(1)
    for table in (generator.normal(size=(9, 5)), generator.integers(4, size=(9, 5))):
        expected = stats.friedmanchisquare(*table.T).statistic
        assert friedman(table).chi2 == pytest.approx(expected)


@pytest.mark.parametrize(("arms", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (10, 3.164)])
def test_critical_values_of_the_paper(arms: int, q: float) -> None:
    """Demšar (2006), table 5a. With tasks = A(A + 1)/6 the difference is q itself."""
    assert critical_difference(arms, 1) / np.sqrt(arms * (arms + 1) / 6) == pytest.approx(
        q, abs=1e-3
    )


def test_level_and_planted_effect() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(1000, 10, 4))
    level = np.mean([friedman(table).p_value <= 0.05 for table in noise])
    assert level == pytest.approx(0.05, abs=0.03)  # four standard errors of 1000, and F is near
    assert friedman(noise[0] + np.array([0, 0, 0, -5])).p_value < 0.01


def test_groups_and_bad_tables() -> None:
    assert groups([3.0, 1.0, 1.5, 4.0], 1.0) == [[1, 2], [0, 3]]
    assert groups([1.0, 1.8, 2.6], 1.0) == [[0, 1], [1, 2]]
    assert groups([1.0, 3.0], 1.0) == []
    assert friedman(np.ones((3, 3))).p_value == 1
    with pytest.raises(UserError, match="missing"):
        friedman([[1, 2, np.nan], [1, 2, 3]])
