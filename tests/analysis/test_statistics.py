"""Statistics against published tables, scipy, and plain independent computations."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.best_of import expected_best
from analysis.statistics.few_runs import (
    Interval,
    half_life,
    iqm,
    iqm_interval,
    probability_of_improvement,
    wilson_interval,
)
from analysis.statistics.importance import MINIMUM_TRIALS, importance
from analysis.statistics.survival import kaplan_meier

losses = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("successes", "runs", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
def test_wilson_interval_as_published(successes: int, runs: int, low: float, high: float) -> None:
    found = wilson_interval(successes, runs)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_three_of_three_is_no_certainty() -> None:
    found = wilson_interval(3, 3)
    z = stats.norm.ppf(0.975)
    assert found.low == pytest.approx(3 / (3 + z**2))  # Wilson's formula at p = 1
    assert round(found.low, 2) == 0.44
    assert wilson_interval(0, 0) == Interval(0, 1)


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_symmetric_and_holds_the_rate(case: tuple[int, int]) -> None:
    successes, runs = case
    found, mirrored = wilson_interval(successes, runs), wilson_interval(runs - successes, runs)
    assert 0 <= found.low <= successes / runs <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)


@given(losses)
def test_iqm_is_a_trimmed_mean(values: list[float]) -> None:
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)
    assert min(values) - 1e-9 <= iqm(values) <= max(values) + 1e-9


def test_iqm_keeps_diverged_runs_as_the_worst() -> None:
    assert iqm([1.0, 2.0, 3.0, math.inf]) == 2.5
    assert iqm([1.0, math.inf, math.inf, math.inf]) == math.inf
    assert math.isnan(iqm([]))


def test_bootstrap_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(size=40)
    found = iqm_interval([values], np.random.default_rng(2), resamples=5000)
    expected = stats.bootstrap(
        (values,),
        lambda v, axis: stats.trim_mean(v, 0.25, axis=axis),
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    # Two independent sets of 5,000 resamples; an end's standard error is about 0.006 here.
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.04)


def test_bootstrap_is_seeded_stratified_and_honest_about_single_runs() -> None:
    strata = [np.array([0.0, 0.1, 0.2]), np.array([5.0, 5.1, 5.2])]
    first = iqm_interval(strata, np.random.default_rng(0))
    assert first == iqm_interval(strata, np.random.default_rng(0))
    # Each resample has three low and three high values: trimming one at each end leaves two of each.
    assert 2.5 < first.low <= first.high < 2.7
    assert math.isnan(iqm_interval([[1.0]], np.random.default_rng(0)).low)
    assert math.isnan(iqm_interval([], np.random.default_rng(0)).low)
    assert iqm_interval([[1.0, 2.0, math.inf]], np.random.default_rng(0)).high == math.inf


@given(losses, losses)
def test_probability_of_improvement_counts_pairs(x: list[float], y: list[float]) -> None:
    wins = sum((a < b) + 0.5 * (a == b) for a in x for b in y)
    assert probability_of_improvement(x, y) == pytest.approx(wins / (len(x) * len(y)))
    u = stats.mannwhitneyu(y, x).statistic
    assert probability_of_improvement(x, y) == pytest.approx(u / (len(x) * len(y)))


@given(
    st.lists(st.one_of(st.floats(-1, 10), st.sampled_from([-0.5, 10.0])), min_size=1, max_size=7)
)
@settings(max_examples=50)
def test_expected_best_is_the_mean_over_every_choice(scores: list[float]) -> None:
    found = expected_best(scores)
    assert len(found) == len(scores)
    for n, value in enumerate(found, start=1):
        choices = [min(choice) for choice in itertools.combinations(scores, n)]
        assert value == pytest.approx(np.mean(choices), abs=1e-9)
    assert found[-1] == min(scores)
    assert (np.diff(found) <= 1e-9).all()


def test_expected_best_has_no_bias() -> None:
    """The lowest of n exponential times with mean 1 is 1/n in the mean, and of n uniform 1/(n + 1)."""
    generator = np.random.default_rng(0)
    budgets = np.arange(1, 11)
    for draw, truth in (
        (generator.exponential, 1 / budgets),
        (generator.uniform, 1 / (budgets + 1)),
    ):
        found = np.array([expected_best(draw(size=10)) for _ in range(4000)])
        errors = found.std(axis=0) / math.sqrt(4000)
        assert (np.abs(found.mean(axis=0) - truth) < 4 * errors).all()


def test_expected_best_of_many_trials_and_of_infinite_scores() -> None:
    many = expected_best(np.arange(1, 2001))  # (N + 1) / (n + 1), as of order statistics
    assert many == pytest.approx(2001 / (np.arange(1, 2001) + 1))
    found = expected_best([1.0, 2.0, math.inf])
    assert found.tolist() == [math.inf, pytest.approx(4 / 3), 1.0]
    assert len(expected_best([])) == 0


def test_kaplan_meier_on_the_6mp_trial() -> None:
    """Freireich et al. (1963), remission under 6-MP; the standard textbook curve."""
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    events = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = kaplan_meier(times, events)
    survival = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for time, expected in survival.items():
        at = np.flatnonzero(curve.steps <= time)[-1]
        assert 1 - curve.fraction[at] == pytest.approx(expected, abs=5e-4)
    assert curve.median == 23


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=15))
def test_kaplan_meier_is_the_product_of_survivals(runs: list[tuple[int, bool]]) -> None:
    times, events = zip(*runs, strict=True)
    curve = kaplan_meier(times, events)
    survival = 1.0
    for time in sorted(set(times)):
        at_risk = sum(t >= time for t in times)
        survival *= 1 - sum(t == time and e for t, e in runs) / at_risk
        at = np.flatnonzero(curve.steps <= time)[-1]
        assert 1 - curve.fraction[at] == pytest.approx(survival, abs=1e-9)


def test_kaplan_meier_without_success_and_without_runs() -> None:
    assert kaplan_meier([10, 10], [False, False]).median is None
    assert kaplan_meier([], []).runs == 0


def test_half_life() -> None:
    assert half_life(-math.log(2) / 7) == pytest.approx(7)
    assert half_life(0.1) == math.inf
    assert math.isnan(half_life(math.nan))


def test_importance_recovers_an_additive_function() -> None:
    """Target 2a + b on the unit square: variances 4/12 and 1/12, so 80 % and 20 %."""
    generator = np.random.default_rng(0)
    inputs = pd.DataFrame(generator.random((400, 3)), columns=["a", "b", "unused"])
    scores = np.exp(2 * inputs["a"] + inputs["b"]) - 2
    found = importance(inputs, scores, generator)
    assert found.r2 > 0.9
    assert found.fractions["a"] == pytest.approx(0.8, abs=0.1)
    assert found.fractions["b"] == pytest.approx(0.2, abs=0.1)
    assert found.fractions["unused"] < 0.03


def test_importance_says_when_it_cannot_say() -> None:
    generator = np.random.default_rng(0)
    few = pd.DataFrame({"a": np.arange(MINIMUM_TRIALS - 1.0)})
    assert "too few trials" in importance(few, few["a"], generator).refusal
    many = pd.DataFrame({"a": np.arange(20.0)})
    assert importance(many, pd.Series(np.ones(20)), generator).refusal
    assert importance(many * 0, many["a"], generator).refusal
    noise = importance(many, pd.Series(generator.random(20)), generator)
    assert noise.r2 < 0.3  # nothing to learn, and R² says so


def test_importance_of_choices_and_conditional_parameters() -> None:
    generator = np.random.default_rng(0)
    name = generator.choice(["none", "norm"], 60)
    inputs = pd.DataFrame({"name": name, "threshold": np.where(name == "norm", 3.0, np.nan)})
    found = importance(inputs, pd.Series(np.where(name == "norm", -0.5, 1.0)), generator)
    assert found.r2 > 0.9
    assert sum(found.fractions.values()) <= 1 + 1e-9
