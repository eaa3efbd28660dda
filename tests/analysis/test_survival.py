"""Log-rank test and restricted mean on the 6-MP trial, against scipy, and on planted truth."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.survival import (
    kaplan_meier,
    log_rank,
    restricted_difference,
    restricted_mean,
)
from study.base.errors import UserError

# Freireich et al. (1963): weeks of remission under 6-MP, and under placebo.
MP = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
ENDED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
ALL = [1] * 21


def test_log_rank_and_medians_as_published() -> None:
    found = log_rank([MP, PLACEBO], [ENDED, ALL])
    assert found.chi2 == pytest.approx(
        16.79, abs=5e-3
    )  # Kleinbaum & Klein, Survival Analysis, ch. 2
    assert (kaplan_meier(MP, ENDED).median, kaplan_meier(PLACEBO, ALL).median) == (23, 8)
    censored = stats.CensoredData.right_censored(MP, np.array(ENDED) == 0)
    expected = stats.logrank(censored, stats.CensoredData(PLACEBO))
    assert found.chi2 == pytest.approx(expected.statistic**2)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_log_rank_of_three_has_the_level() -> None:
    generator = np.random.default_rng(0)
    times = generator.exponential(size=(600, 3, 20))
    p = [log_rank(list(np.minimum(t, 1.5)), list(t < 1.5)).p_value for t in times]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=4 * math.sqrt(0.0475 / 600))
    fast = times[0] * np.array([[1], [1], [0.1]])
    assert log_rank(list(fast), [np.ones(20)] * 3).p_value < 1e-4


def test_log_rank_without_success_and_without_runs() -> None:
    assert log_rank([[9, 9], [9, 9]], [[0, 0], [0, 0]]).p_value == 1
    with pytest.raises(UserError, match="two arms"):
        log_rank([[9, 9], []], [[0, 0], []])


def test_restricted_mean_without_censoring_is_the_mean() -> None:
    """Greenwood's sum is then the variance of min(t, budget), divided by n, over n."""
    found = restricted_mean(PLACEBO, ALL, 16)
    cut = np.minimum(PLACEBO, 16)
    assert found.mean == pytest.approx(cut.mean())
    assert found.variance == pytest.approx(cut.var() / 21)


def test_restricted_difference_covers() -> None:
    generator = np.random.default_rng(0)
    held = []
    truth = (1 - math.exp(-1)) - (1 - math.exp(-2)) / 2  # ∫ e^{-t} - e^{-2t} over [0, 1]
    for _ in range(300):
        arms = []
        for rate in (1, 2):
            t, stop = generator.exponential(1 / rate, 30), generator.uniform(0.5, 3, 30)
            stop[0] = 3  # someone is watched to the end
            arms.append(restricted_mean(np.minimum(t, stop), t <= stop, 1))
        found = restricted_difference(*arms).interval
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) == pytest.approx(0.94, abs=4 * math.sqrt(0.06 * 0.94 / 300))
