"""The questions on planted truth: at their level where it is at the margin, found where it is not."""

import numpy as np
import pytest
from made_up import solved, study, unsolved
from scipy import stats

from analysis.claims.claim import NotTested
from analysis.claims.questions import (
    better,
    matches,
    no_worse,
    positive,
    usually_fails,
    usually_solves,
    within,
)
from analysis.data.runs import Results
from analysis.statistics.sign_test import LEVEL

REPEATS = 200
# The most of 200 rejections at a true rate of .05 in all but one of 10,000 such tests.
MOST = stats.binom.ppf(0.9999, REPEATS, LEVEL) / REPEATS


def two(x: object, y: object, task: str = "t") -> dict[str, Results]:
    return {"s": study("s", {("x", task): x, ("y", task): y})}  # type: ignore[dict-item]


def lognormal(generator: np.random.Generator, middle: float, count: int = 10) -> list[float]:
    return list(np.exp(generator.normal(np.log(middle), 0.2, count)))


def test_better_is_solving_alone_then_sooner_then_a_lower_loss() -> None:
    alone = better(two(solved(*[500] * 10), unsolved(10)), "s", "x", "y")
    assert alone.p_for == pytest.approx(2 / 2**10)
    assert alone.p_against == 1
    sooner = better(two(solved(*range(100, 110)), solved(*range(200, 210))), "s", "x", "y")
    assert sooner.p_for == pytest.approx(2 / 2**10)
    lower = better(two(unsolved(10, 0.2), unsolved(10, 0.1)), "s", "x", "y")
    assert lower.p_against == pytest.approx(2 / 2**10)
    assert lower.p_for == 1


def test_better_pairs_runs_by_seed_and_not_by_place() -> None:
    """Each run of x is a little sooner than y's with the same seed; unpaired nothing would be found."""
    middle = np.geomspace(100, 900, 10)
    answer = better(two(solved(*middle), solved(*(middle * 1.05))), "s", "x", "y")
    assert answer.p_for < 0.01


@pytest.mark.parametrize("count", [5, 10, 20])
def test_equal_arms_are_seldom_told_apart(count: int) -> None:
    generator = np.random.default_rng(count)
    found = [
        better(
            two(
                solved(*lognormal(generator, 400, count)), solved(*lognormal(generator, 400, count))
            ),
            "s",
            "x",
            "y",
        )
        for _ in range(REPEATS)
    ]
    assert np.mean([min(a.p_for, a.p_against) <= LEVEL for a in found]) <= MOST


def test_a_half_is_seldom_called_usual() -> None:
    generator = np.random.default_rng(0)
    found = []
    for _ in range(REPEATS):
        runs = [{"updates": 5} if generator.random() < 0.5 else {} for _ in range(10)]
        found.append(usually_solves(two(runs, runs), "s", "x"))
    assert np.mean([min(a.p_for, a.p_against) <= LEVEL for a in found]) <= MOST


def test_nine_of_ten_is_usual_and_eight_is_open() -> None:
    """The exact two-sided p of 9 of 10 is 22/1024, of 8 of 10 112/1024."""
    nine = usually_solves(two(solved(*[5] * 9) + unsolved(1), []), "s", "x")  # type: ignore[operator]
    assert nine.p_for == pytest.approx(22 / 1024)
    eight = usually_solves(two(solved(*[5] * 8) + unsolved(2), []), "s", "x")  # type: ignore[operator]
    assert eight.p_for == pytest.approx(112 / 1024)
    assert eight.needed is not None
    assert eight.needed > 10
    assert usually_fails(two(unsolved(10), []), "s", "x").p_for == pytest.approx(2 / 1024)


def test_at_the_margin_no_worse_is_seldom_said() -> None:
    generator = np.random.default_rng(1)
    found = [
        no_worse(
            two(solved(*lognormal(generator, 400)), solved(*lognormal(generator, 200))),
            "s",
            "x",
            "y",
            factor=2.0,
        )
        for _ in range(REPEATS)
    ]
    assert np.mean([a.p_for <= LEVEL for a in found]) <= MOST
    assert np.mean([a.p_against <= LEVEL for a in found]) <= MOST


def test_no_worse_is_found_where_it_holds_and_denied_where_it_does_not() -> None:
    generator = np.random.default_rng(2)
    same = two(solved(*lognormal(generator, 300)), solved(*lognormal(generator, 300)))
    assert no_worse(same, "s", "x", "y").p_for < LEVEL
    assert matches(same, "s", "x", "y").p_for < LEVEL
    slow = two(solved(*lognormal(generator, 900)), solved(*lognormal(generator, 200)))
    assert no_worse(slow, "s", "x", "y").p_against < 0.01
    assert no_worse(slow, "s", "y", "x").p_for < LEVEL
    assert matches(slow, "s", "y", "x").p_against < 0.01


def test_solving_more_seldom_is_worse_however_fast_the_rest_is() -> None:
    lucky = solved(*[10] * 2) + unsolved(8)  # type: ignore[operator]
    answer = no_worse(two(lucky, solved(*[600] * 10)), "s", "x", "y")
    assert answer.p_for > LEVEL
    assert answer.p_against < LEVEL


def test_of_arms_that_never_solve_the_losses_are_compared() -> None:
    generator = np.random.default_rng(3)
    loss = [{"test_loss": value} for value in lognormal(generator, 0.1)]
    more = [{"test_loss": value} for value in lognormal(generator, 0.3)]
    assert no_worse(two(loss, more), "s", "x", "y", factor=1.25).p_for < LEVEL
    assert no_worse(two(more, loss), "s", "x", "y", factor=1.25).p_against < 0.001


def test_ten_and_ten_of_ten_share_a_rate_within_the_margin() -> None:
    """Newcombe's 90 % interval of 10/10 against 10/10 lies within ±.3, of 5/5 against 5/5 it does not."""
    assert matches(two(solved(*[5] * 10), solved(*[5] * 10)), "s", "x", "y").p_for < LEVEL
    assert matches(two(solved(*[5] * 5), solved(*[5] * 5)), "s", "x", "y").p_for > LEVEL


@pytest.mark.parametrize("mean", [0.8, 1.25])
def test_within_keeps_its_level_at_both_ends(mean: float) -> None:
    generator = np.random.default_rng(4)
    found = [within(generator.normal(mean, 0.1, 10), 0.8, 1.25, "") for _ in range(REPEATS)]
    assert np.mean([a.p_for <= LEVEL for a in found]) <= MOST
    assert np.mean([a.p_against <= LEVEL for a in found]) <= MOST


def test_within_and_positive_find_what_is_there() -> None:
    generator = np.random.default_rng(5)
    assert within(generator.normal(1, 0.1, 10), 0.8, 1.25, "").p_for < 0.001
    assert within(generator.normal(2, 0.1, 10), 0.8, 1.25, "").p_against < 0.001
    assert positive(generator.normal(1, 0.3, 10), "").p_for == pytest.approx(2 / 2**10)
    assert positive(-generator.normal(1, 0.3, 10), "").p_against == pytest.approx(2 / 2**10)
    assert positive(np.zeros(10), "").p_for == 1


def test_too_few_runs_are_no_test() -> None:
    with pytest.raises(NotTested, match="4 confirmations of x so far, too few"):
        better(two(solved(*[5] * 4), solved(*[5] * 10)), "s", "x", "y")
    with pytest.raises(NotTested, match="no task 'u'"):
        better(two(solved(*[5] * 9), solved(*[5] * 10)), "s", "x", "y", "u")


def test_a_task_is_found_by_the_value_of_its_axis() -> None:
    both = two(solved(*[5] * 10), solved(*[9] * 10), "length 200")
    assert better(both, "s", "x", "y", "200").p_for < LEVEL
