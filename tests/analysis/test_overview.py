"""The first screen: a verdict that says what the tests decided, and a cell an arm."""

import math

import numpy as np
import pandas as pd
import pytest
from synthetic import Kind, make

from analysis.data.runs import Results, read_study
from analysis.data.wording import fraction
from analysis.findings.decisions import decisions
from analysis.findings.overview import Overview, overview
from analysis.findings.summary import summarize
from analysis.statistics.few_runs import wilson_interval

GOOD, BAD = Kind(1.0, -0.01), Kind(0.0, -0.5)
ADDING = {"adding-50": ("adding", 50)}


def study(runs: int = 10, tasks: dict | None = None, **kinds: Kind) -> Results:
    store = make(trials=3, architectures=kinds, tasks=tasks or ADDING, confirmations=runs)
    return read_study(store, "synthetic")


def of(results: Results, decided: pd.DataFrame | None = None) -> Overview:
    found = decisions(results) if decided is None else decided
    return overview(results, summarize(results, np.random.default_rng(0)), found)


def test_who_solves_it_is_ahead_of_who_does_not() -> None:
    told = of(study(good=GOOD, bad=BAD)).verdict
    assert told[0] == "good did better than bad."
    assert told[1].startswith("It is decided (exact sign test at 0.05)")


def test_one_ahead_of_all_others() -> None:
    told = of(study(good=GOOD, bad=BAD, worse=BAD)).verdict
    assert told[0] == "good did better than every other network."


def test_equal_arms_are_told_apart_by_nothing_and_what_would_is_said() -> None:
    results = study(5, one=GOOD, other=GOOD)
    decided = decisions(results).assign(better=3, worse=2, better_p_holm=1.0, needed=300)
    told = of(results, decided).verdict
    assert told[0] == "No difference was found between one and other."
    assert told[1] == "It is open (exact sign test at 0.05); about 300 runs an arm would decide it."


def test_ahead_of_some_is_not_ahead_of_all() -> None:
    results = study(good=GOOD, middle=GOOD, bad=BAD)
    decided = decisions(results)
    mine = (decided["architecture"] == "middle") | (decided["other"] == "middle")
    told = of(results, decided.assign(better_p_holm=np.where(mine, 1.0, 0.01))).verdict
    assert "good and middle are beaten by none, and some of them beat bad" in told[0]
    assert "not told apart" in told[0]


def test_many_tasks_are_counted() -> None:
    tasks = {f"adding-{n}": ("adding", n) for n in (50, 100, 200)}
    told = of(study(tasks=tasks, good=GOOD, bad=BAD)).verdict
    assert told[0] == "Beaten by no other network, of 3 tasks: good on 3 of 3 and bad on 0 of 3."
    assert told[1].startswith("3 of 3 pairs of networks are decided")


def test_where_nothing_was_learned_nobody_is_ahead() -> None:
    results = study(one=BAD, other=BAD)
    results.confirmations["test_loss"] = 0.5
    assert of(results).verdict == [
        "No network did better than chance, so none is ahead of another."
    ]


@pytest.mark.parametrize(("role", "told"), [("confirmation", "no confirmation run has ended")])
def test_without_confirmations_nothing_is_established(role: str, told: str) -> None:
    store = make(trials=3, architectures={"good": GOOD}, tasks=ADDING).without(role=role)
    found = of(read_study(store, "synthetic"))
    assert told in found.verdict[0]
    assert math.isnan(found.cells["good"][0].quality)  # type: ignore[union-attr]


def test_a_cell_has_the_rate_and_its_interval_or_the_loss() -> None:
    found = of(study(good=GOOD, bad=BAD))
    good, bad = found.cells["good"][0], found.cells["bad"][0]
    assert good is not None
    assert bad is not None
    solved = int(good.text.split()[0])
    assert good.text == f"{solved} of 10"
    rate = wilson_interval(solved, 10)
    assert good.interval == f"[{fraction(rate.low)}, {fraction(rate.high)}]"
    assert solved / 10 <= good.quality <= 1
    assert bad.text == "0 of 10"
    assert bad.interval.endswith(" of chance")
    assert 0 <= bad.quality < 0.2
