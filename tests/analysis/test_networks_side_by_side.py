"""Networks of one study or of several as one set of results, and tests of runs that share no seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import Kind, MemoryStore, make

from analysis.data.runs import Results, read_study
from analysis.data.selection import selected, together
from analysis.findings.decisions import decisions
from analysis.findings.unpaired import sentences, unpaired
from study.base.errors import UserError

GOOD, BAD = Kind(1.0, -0.01), Kind(0.0, -0.5)
TASKS = {"adding-50": ("adding", 50), "adding-100": ("adding", 100)}


def study(name: str, tasks: dict | None = None, **kinds: Kind) -> Results:
    store: MemoryStore = make(trials=2, architectures=kinds, tasks=tasks or TASKS, confirmations=8)
    found = read_study(store, "synthetic")
    object.__setattr__(found, "study", name)
    return found


def test_some_networks_are_all_that_is_left() -> None:
    whole = study("s", good=GOOD, bad=BAD, other=BAD)
    part = selected(whole, ["good", "bad"])
    assert part.architectures == ["good", "bad"]
    for name in ("trials", "confirmations", "curves", "flows"):
        table = getattr(part, name)
        assert set(table["architecture"]) == {"good", "bad"}
        kept = getattr(whole, name)
        assert len(table) == (kept["architecture"] != "other").sum()
    mine, theirs = decisions(part), decisions(whole)
    pair = theirs[(theirs["architecture"] == "good") & (theirs["other"] == "bad")]
    np.testing.assert_array_equal(mine["better"], pair["better"])
    with pytest.raises(UserError, match="did you mean 'good'"):
        selected(whole, ["goood"])


def test_studies_are_named_and_none_of_their_runs_are_pairs() -> None:
    both = together([study("a", net=GOOD), study("b", net=BAD)])
    assert both.architectures == ["a · net", "b · net"]
    assert len(both.confirmations) == 2 * 2 * 8
    assert (decisions(both)["pairs"] == 0).all()
    assert list(both.tasks) == list(TASKS)


def test_a_task_that_is_another_one_in_the_other_study_is_refused() -> None:
    changed = study("b", net=BAD)
    task = changed.tasks["adding-50"]
    object.__setattr__(task, "chance_loss", 0.5)
    with pytest.raises(UserError, match="'adding-50' is not the same in study 'b'"):
        together([study("a", net=GOOD), changed])


def test_runs_without_common_seeds_are_told_apart_by_mann_whitney() -> None:
    both = together([study("a", net=GOOD), study("b", net=BAD, same=BAD)])
    found = unpaired(both, "adding-50")
    assert [(f.one, f.other) for f in found] == [("a · net", "b · net"), ("a · net", "b · same")]
    assert all(f.p < 0.01 for f in found)
    told = list(sentences(both))
    assert len(told) == len(TASKS)
    assert "a run of a · net does better than one of b · net with probability" in told[0]
    assert list(sentences(study("a", one=GOOD, other=BAD))) == []


def test_the_level_holds_on_equal_arms() -> None:
    generator = np.random.default_rng(0)
    both = together([study("a", net=BAD), study("b", net=BAD)])
    rejected = 0
    for _ in range(200):
        runs = both.confirmations.assign(
            test_loss=generator.random(len(both.confirmations)), solved=False
        )
        object.__setattr__(both, "confirmations", runs)
        rejected += unpaired(both, "adding-50")[0].p <= 0.05
    assert rejected <= stats.binom.ppf(0.9999, 200, 0.05)


def test_where_all_are_equal_nothing_is_told() -> None:
    both = together([study("a", net=BAD), study("b", net=BAD)])
    runs = both.confirmations.assign(test_loss=0.1, solved=False)
    object.__setattr__(both, "confirmations", runs)
    assert isinstance(runs, pd.DataFrame)
    assert unpaired(both, "adding-50")[0].p == 1.0
    assert "no two networks are told apart" in next(sentences(both))
