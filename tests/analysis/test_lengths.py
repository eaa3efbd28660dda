"""The length that half of the runs solve, against scipy's optimiser and on planted curves."""

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit

from analysis.statistics.lengths import solved_length
from study.base.errors import UserError

LENGTHS = np.array([10, 20, 50, 100, 200])


def test_the_best_curve_is_the_optimisers() -> None:
    k, n, x = np.array([5, 4, 3, 1, 0]), np.full(5, 5), np.log(LENGTHS)

    def loss(b: np.ndarray) -> float:
        p = expit(b[0] + b[1] * x)
        design = np.column_stack([np.ones(5), x])
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        return -float(
            (k * np.log(p) + (n - k) * np.log1p(-p)).sum() + 0.5 * np.linalg.slogdet(information)[1]
        )

    b = optimize.minimize(loss, [4.0, -1.0], method="Nelder-Mead").x
    found = solved_length(LENGTHS, k, n)
    # Slopes stand 8 % apart and places about 2 %.
    assert found.length == pytest.approx(np.exp(-b[0] / b[1]), rel=0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.length < found.high  # type: ignore[operator]


def test_all_then_none_is_between_the_two() -> None:
    found = solved_length(LENGTHS, [5, 5, 5, 0, 0], [5] * 5)
    assert found.length is not None
    assert 50 < found.length < 100
    assert found.low is not None
    assert found.low > 20
    assert found.high is not None
    assert found.high < 200


def test_beyond_and_below_what_was_tried() -> None:
    always = solved_length(LENGTHS, [5] * 5, [5] * 5)
    assert (always.length, always.high, always.words) == (None, None, "beyond 200")
    assert always.low is not None
    never = solved_length(LENGTHS, [0] * 5, [5] * 5)
    assert (never.length, never.low, never.words) == (None, None, "below 10")
    assert never.high is not None


@pytest.mark.parametrize("runs", [3, 10])
def test_coverage_on_planted_curves(runs: int) -> None:
    generator = np.random.default_rng(0)
    p = expit(-3 * np.log(LENGTHS / 60))
    held = []
    for _ in range(60):
        found = solved_length(LENGTHS, generator.binomial(runs, p), np.full(5, runs))
        held.append((found.low or 0) <= 60 <= (found.high or np.inf))
    assert np.mean(held) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 60)


def test_bad_input_is_told() -> None:
    with pytest.raises(UserError, match="two lengths"):
        solved_length([10], [1], [3])
    with pytest.raises(UserError, match="between 0 and the runs"):
        solved_length([10, 20], [4, 1], [3, 3])
