"""An arm's trial is chosen by further seeds; an arm can be searched several times, and added later."""

from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient

from analysis.data.runs import read_study
from study.base.errors import UserError
from study.spaces.file import load
from study.spaces.plan import Plan
from study.spaces.space import Space
from study.sweep.driver import Sweep, SweepStatus
from study.sweep.progress import ArmProgress, Ended
from study.sweep.search import confirmation_seed, rerun_seed, search_seed, trial_seed
from study.tracking.run_record import RunRecord
from study.tracking.store import Store

pytestmark = pytest.mark.usefixtures("forked")

SPACE = """
[study]
name = "tiny"
trials = 3
finalists = 2
reruns = 2
confirmations = 1

[fixed]
train = {{ probes = "none", steps = 10, evaluate_every = 5, batch = 4 }}
task.length = 5
model.hidden = 4

[compare]
model.cell = {cells}

[search]
train.lr = {{ low = 0.001, high = 0.1, log = true }}
"""


def space(folder: Path, *cells: str, **changes: int) -> Space:
    path = folder / "tiny.toml"
    path.write_text(SPACE.format(cells=list(cells)))
    return load(path, **changes)


def sweep(s: Space, folder: Path) -> SweepStatus:
    *_, last = Sweep(s, folder, 2).run()
    return last


def runs(folder: Path) -> dict[str, RunRecord]:
    """By key, without the arms."""
    found = [r for r in Store.open(folder).study("tiny").runs if r.tags["role"] != "arm"]
    by_key = {r.tags["trial_key"]: r for r in found}
    assert len(by_key) == len(found)
    return by_key


def ended(number: int, score: float, role: str = "trial", of: int | None = None) -> Ended:
    outcome = "diverged" if score == 10 else "solved" if score < 0 else "budget"
    key = f"{role}-{of}-{number}"
    return Ended(key, role, number, outcome, score, 1.0, None, None, of and f"trial-None-{of}")


# The choice


def progress(plan: Plan, scores: list[float], reruns: dict[int, list[float]]) -> ArmProgress:
    """The trials are numbered from 1 on."""
    arm = ArmProgress("a", plan)
    for number, score in enumerate(scores, start=1):
        arm.add(ended(number, score))
    for of, again in reruns.items():
        for number, score in enumerate(again):
            arm.add(ended(number, score, "rerun", of))
    return arm


def chosen(arm: ArmProgress) -> int | None:
    return None if arm.chosen is None else arm.chosen.number


def test_who_solves_most_often_is_chosen_and_not_who_was_fastest_once() -> None:
    plan = Plan(trials=4, finalists=2, reruns=3, confirmations=5)
    scores = [-0.9, -0.5, 0.3, 10]
    arm = progress(plan, scores, {})
    assert [e.number for e in arm.finalists] == [1, 2]
    assert chosen(arm) is None
    assert arm.left == 6 + 5
    brittle, steady = [-0.9, 10, 0.9], [-0.4, -0.5, -0.6]
    arm = progress(plan, scores, {1: brittle, 2: steady[:2]})
    assert chosen(arm) is None
    assert arm.left == 1 + 5
    arm = progress(plan, scores, {1: brittle, 2: steady})
    assert chosen(arm) == 2
    assert arm.left == 5
    assert arm.metrics()["best/score"] == -0.5
    assert arm.metrics()["reruns/runs"] == 6
    assert arm.metrics()["reruns/solved"] == 4


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        ([-0.4, -0.4], [-0.5, -0.5], 2),  # as often, but later
        ([-0.4, -0.4], [-0.4, -0.4], 1),  # the same: the one of the lower score in the search
        ([0.5, 0.7], [0.5, 0.8], 1),  # none solved: the lower loss
        ([-0.1, 10], [-0.1, 0.9], 2),  # one lost each: a divergence is as bad as chance
        ([-0.1, 10], [-0.2, 9], 2),
        ([10, 10], [0.9, 0.9], 2),
    ],
)
def test_of_equal_ones_the_sooner_is_chosen(
    first: list[float], second: list[float], best: int
) -> None:
    plan = Plan(trials=2, finalists=2, reruns=2)
    assert chosen(progress(plan, [-0.9, -0.5], {1: first, 2: second})) == best


def test_where_there_is_no_choice_nothing_is_run_again() -> None:
    for plan in (Plan(2, finalists=1, reruns=3), Plan(2, finalists=3, reruns=0)):
        arm = progress(plan, [0.9, 0.4], {})
        assert (chosen(arm), arm.left) == (2, 0)
    alone = progress(Plan(3, finalists=3, reruns=3, confirmations=2), [10, 0.4, 10], {})
    assert (chosen(alone), alone.left) == (2, 2)
    lost = progress(Plan(2, finalists=3, reruns=3, confirmations=2), [10, 10], {})
    assert (chosen(lost), lost.left) == (None, 0)
    begun = progress(Plan(3, finalists=2, reruns=2, confirmations=1), [0.4], {})
    assert (chosen(begun), begun.left) == (None, 2 + 4 + 1)


def test_reruns_of_what_is_no_finalist_any_more_do_not_count() -> None:
    plan = Plan(trials=3, finalists=2, reruns=1)
    arm = progress(plan, [0.9, 0.8, 0.1], {1: [-0.9], 2: [0.5], 3: [0.4]})
    assert [e.number for e in arm.finalists] == [3, 2]
    assert (chosen(arm), arm.left) == (3, 0)


# A sweep


def test_finalists_are_run_again_on_the_same_fresh_seeds_and_one_is_confirmed(
    tmp_path: Path,
) -> None:
    s = space(tmp_path, "lstm", "gru")
    assert sweep(s, tmp_path).left == 0
    found = runs(tmp_path)
    roles = Counter((r.tags["arm"], r.tags["role"]) for r in found.values())
    for arm in ("lstm", "gru"):
        assert [roles[arm, role] for role in ("trial", "rerun", "confirmation")] == [3, 4, 1]
        own = [r for r in found.values() if r.tags["arm"] == arm]
        trials = [r for r in own if r.tags["role"] == "trial"]
        best = sorted(trials, key=lambda r: r.metrics["score"])[:2]
        again = [r for r in own if r.tags["role"] == "rerun"]
        assert Counter(r.tags["repeats"] for r in again) == {r.tags["trial_key"]: 2 for r in best}
        for run in again:
            trial = found[run.tags["repeats"]]
            assert {**run.params, "seed": ""} == {**trial.params, "seed": ""}
            assert run.params["seed"] == str(rerun_seed(s.seed, int(run.tags["number"])))
            assert "test/loss" not in run.metrics
        (confirmed,) = [r for r in own if r.tags["role"] == "confirmation"]
        assert confirmed.params["seed"] == str(confirmation_seed(s.seed, 0))
        means = {
            r.tags["trial_key"]: sum(
                min(a.metrics["score"], 1)
                for a in again
                if a.tags["repeats"] == r.tags["trial_key"]
            )
            for r in best
        }
        assert confirmed.tags["confirms"] == min(means, key=means.__getitem__)
    results = read_study(Store.open(tmp_path), "tiny")
    assert len(results.reruns) == 8
    assert set(results.confirmations["confirms"]) == set(
        results.trials.loc[results.trials["chosen"], "trial_key"]
    )
    # Nothing is left to do, and nothing is done again.
    before = {key: r.run_id for key, r in found.items()}
    assert sweep(s, tmp_path).left == 0
    assert {key: r.run_id for key, r in runs(tmp_path).items()} == before


def test_arms_searches_and_reruns_are_added_without_repeating_what_is_there(
    tmp_path: Path,
) -> None:
    sweep(space(tmp_path, "lstm", reruns=0), tmp_path)
    before = {key: r.run_id for key, r in runs(tmp_path).items()}
    assert len(before) == 4
    s = space(tmp_path, "lstm", "gru", searches=2, reruns=1)
    assert [arm.slug for arm in s.tuned()] == ["lstm", "gru", "lstm~2", "gru~2"]
    sweep(s, tmp_path)
    found = runs(tmp_path)
    assert before.items() <= {key: r.run_id for key, r in found.items()}.items()
    seeds = {search: search_seed(s, search) for search in (0, 1)}
    assert seeds[0] == s.seed != seeds[1]
    for search, slugs in ((0, ("lstm", "gru")), (1, ("lstm~2", "gru~2"))):
        for slug in slugs:
            own = [r for r in found.values() if r.tags["arm"] == slug]
            assert {r.tags["search"] for r in own} == {str(search + 1)}
            trials = {int(r.tags["number"]): r for r in own if r.tags["role"] == "trial"}
            assert sorted(trials) == [0, 1, 2]
            for number, run in trials.items():
                assert run.params["seed"] == str(trial_seed(seeds[search], number))
            again = [r for r in own if r.tags["role"] == "rerun"]
            assert [r.params["seed"] for r in again] == [str(rerun_seed(seeds[search], 0))] * 2
            assert all(r.parent_id == own[0].parent_id for r in own)
    rates = [
        [found[f"tiny/{slug}/{n}/1"].params["train.lr"] for n in range(3)]
        for slug in ("lstm", "gru", "lstm~2", "gru~2")
    ]
    assert rates[0] == rates[1] != rates[2] == rates[3]
    results = read_study(Store.open(tmp_path), "tiny")
    assert list(results.arms["arm"]) == ["lstm", "gru"]
    assert list(results.arms["searches"]) == [2, 2]
    assert list(results.arms["planned"]) == [6, 6]
    assert len(results.trials) == 12
    assert Counter(results.confirmations["search"]) == {1: 2, 2: 2}
    assert results.trials.groupby(["arm", "search"])["chosen"].sum().tolist() == [1] * 4
    # An arm cannot be taken away, nor changed.
    for cells in (["lstm"], ["gru", "elman"]):
        with pytest.raises(UserError, match="is gone"):
            sweep(space(tmp_path, *cells), tmp_path)


def test_deleted_reruns_come_back(tmp_path: Path) -> None:
    s = space(tmp_path, "lstm")
    sweep(s, tmp_path)
    found = runs(tmp_path)
    gone = [r for r in found.values() if r.tags["role"] in ("rerun", "confirmation")]
    for run in gone:
        MlflowClient(Store.open(tmp_path).uri).delete_run(run.run_id)
    last = sweep(s, tmp_path)
    assert last.left == 0
    assert "had been deleted in MLflow" in " ".join(last.warnings)
    assert {k: r.run_id for k, r in runs(tmp_path).items()} == {
        k: r.run_id for k, r in found.items()
    }
