"""Optuna behind the arms: what is asked, told and pruned, and what a kill may leave behind."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from study.base.errors import UserError
from study.spaces.space import Space, planned_trials
from study.sweep.search import ArmSearch, Journal, confirmation_seed, open_searches, trial_seed


def space(**changes: Any) -> Space:
    given: dict[str, Any] = {
        "name": "s",
        "trials": 6,
        "fixed": {"train.steps": 80, "train.evaluate_every": 10},
        "compare": {"cell": {"lstm": {"model.cell": "lstm"}, "gru": {"model.cell": "gru"}}},
        "search": {
            "train.lr": {"low": 0.001, "high": 0.1, "log": True},
            "model.hidden": {"low": 2, "high": 64},
            "clip.name": {"values": ("none", "norm")},
            "clip.threshold": {"low": 0.5, "high": 5.0, "when": {"clip.name": ("norm",)}},
        },
    }
    return Space.model_validate({**given, **changes})


GRID: dict[str, Any] = {
    "sampler": "grid",
    "search": {
        "train.lr": {"values": (0.1, 0.01, 0.001)},
        "clip.name": {"values": ("none", "norm")},
    },
}


def finish(search: ArmSearch, count: int | None = None) -> list[dict[str, Any]]:
    """Ask, configure and tell until nothing remains; the settings in order."""
    found = []
    while search.remaining and (count is None or len(found) < count):
        trial = search.ask()
        found.append(search.configure(trial))
        search.tell(trial.number, "budget", 0.5 + trial.number / 100)
    return found


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
def test_an_arm_gets_exactly_its_budget_within_the_bounds(sampler: str, tmp_path: Path) -> None:
    s = space(sampler=sampler, trials=14)  # TPE models from the eleventh on
    search = open_searches(s, tmp_path / "j")["lstm"]
    settings = finish(search)
    assert len(settings) == 14
    assert search.remaining == 0
    for k, given in enumerate(settings):
        assert 0.001 <= given["train.lr"] <= 0.1
        assert given["model.hidden"] in range(2, 65)
        assert given["model.cell"] == "lstm"
        assert ("clip.threshold" in given) == (given["clip.name"] == "norm")
        assert given["seed"] == trial_seed(s.seed, k)
        assert search.configured(k) == given
    assert len({given["train.lr"] for given in settings}) == 14
    assert {t.state for t in search.trials} == {TrialState.COMPLETE}


PUBLISHED: dict[str, Any] = {
    "source": "a paper",
    "where": {"cell": "lstm"},
    "settings": {"train.lr": 0.05, "clip.name": "norm", "clip.threshold": 1.0},
}


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
def test_a_baseline_is_the_first_trial_of_its_arm_and_the_rest_are_drawn_as_ever(
    sampler: str, tmp_path: Path
) -> None:
    plain = open_searches(space(sampler=sampler), tmp_path / "plain")
    with_it = open_searches(space(sampler=sampler, baselines=(PUBLISHED,)), tmp_path / "with")
    before, after = ({slug: finish(s) for slug, s in each.items()} for each in (plain, with_it))
    assert after["gru"] == before["gru"]
    assert after["lstm"][1:] == before["lstm"][1:]
    first = after["lstm"][0]
    assert PUBLISHED["settings"].items() <= first.items()
    assert first["model.hidden"] == before["lstm"][0]["model.hidden"]
    assert [with_it["lstm"].source(k) for k in (0, 1)] == ["a paper", ""]
    assert with_it["gru"].source(0) == ""


def test_an_arm_draws_from_a_range_of_its_own_at_the_same_quantiles(tmp_path: Path) -> None:
    own = {"cell": {"gru": {"train.lr": {"low": 0.01, "high": 1.0, "log": True}}}}
    found = {
        slug: finish(s) for slug, s in open_searches(space(ranges=own), tmp_path / "j").items()
    }
    for lstm, gru in zip(found["lstm"], found["gru"], strict=True):
        assert gru["train.lr"] == pytest.approx(10 * lstm["train.lr"])
        assert gru["model.hidden"] == lstm["model.hidden"]


def test_of_a_momentum_the_baseline_is_the_momentum(tmp_path: Path) -> None:
    searched = {"train.momentum": {"low": 0.5, "high": 0.99, "log_below_one": True}}
    given = {"source": "a paper", "settings": {"train.momentum": 0.9}}
    fixed = {"train.optimizer": "sgd", "train.steps": 80}
    s = space(search=searched, fixed=fixed, baselines=(given,))
    search = open_searches(s, tmp_path / "j")["lstm"]
    assert finish(search)[0]["train.momentum"] == pytest.approx(0.9)


@pytest.mark.parametrize("sampler", ["sobol", "random"])
def test_a_resumed_search_draws_what_an_uninterrupted_one_draws(
    sampler: str, tmp_path: Path
) -> None:
    s = space(sampler=sampler)
    whole = finish(open_searches(s, tmp_path / "whole")["lstm"])
    parts: list[dict[str, Any]] = []
    for _ in range(3):  # a new process each time, as far as Optuna can tell
        parts += finish(open_searches(s, tmp_path / "parts")["lstm"], 2)
    assert parts == whole


@pytest.mark.parametrize("sampler", ["sobol", "random"])
def test_a_trial_killed_between_asking_and_drawing_draws_the_same(
    sampler: str, tmp_path: Path
) -> None:
    s = space(sampler=sampler)
    whole = finish(open_searches(s, tmp_path / "whole")["lstm"])
    search = open_searches(s, tmp_path / "parts")["lstm"]
    parts = finish(search, 2)
    search.ask()  # … and the driver dies
    search = open_searches(s, tmp_path / "parts")["lstm"]
    (trial,) = search.unfinished()
    assert trial.number == 2
    parts.append(search.configure(trial))
    search.tell(2, "budget", 0.5)
    assert parts + finish(search) == whole


@pytest.mark.parametrize("sampler", ["sobol", "random"])
def test_a_trial_killed_in_the_middle_of_drawing_draws_the_same(
    sampler: str, tmp_path: Path
) -> None:
    s = space(sampler=sampler)
    whole = finish(open_searches(s, tmp_path / "whole")["lstm"], 1)
    search = open_searches(s, tmp_path / "parts")["lstm"]
    search._suggest(search.ask(), "train.lr")
    search = open_searches(s, tmp_path / "parts")["lstm"]
    assert search.configure(search.unfinished()[0]) == whole[0]


def test_a_resumed_trial_keeps_the_settings_it_had(tmp_path: Path) -> None:
    s = space(sampler="tpe")
    search = open_searches(s, tmp_path / "j")["gru"]
    given = search.configure(search.ask())
    search = open_searches(s, tmp_path / "j")["gru"]
    assert search.remaining == 5
    (trial,) = search.unfinished()
    assert search.configure(trial) == given


def test_trials_of_different_arms_are_paired(tmp_path: Path) -> None:
    both = open_searches(space(), tmp_path / "j")
    for a, b in zip(finish(both["lstm"]), finish(both["gru"]), strict=True):
        assert {**a, "model.cell": ""} == {**b, "model.cell": ""}


def test_arms_are_paired_although_a_condition_holds_in_one_only(tmp_path: Path) -> None:
    s = space(
        search={
            "init.bias.name": {"values": ("zeros", "uniform"), "when": {"model.cell": ("lstm",)}},
            "train.lr": {"low": 0.001, "high": 0.1},
        }
    )
    both = open_searches(s, tmp_path / "j")
    a, b = finish(both["lstm"]), finish(both["gru"])
    assert [x["train.lr"] for x in a] == [x["train.lr"] for x in b]


def test_draws_of_different_parameters_are_independent(tmp_path: Path) -> None:
    s = space(
        trials=40,
        search={"train.lr": {"low": 0.1, "high": 1.1}, "clip.threshold": {"low": 0.1, "high": 1.1}},
    )
    settings = finish(open_searches(s, tmp_path / "j")["lstm"])
    x = [g["train.lr"] for g in settings]
    y = [g["clip.threshold"] for g in settings]
    assert not set(x) & set(y)
    mx, my = sum(x) / 40, sum(y) / 40
    covariance = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / 40
    assert abs(covariance * 12) < 0.65  # correlation; 4 standard errors of 1/√40
    assert len({round(a, 9) for a in x}) == 40


def test_another_seed_draws_otherwise(tmp_path: Path) -> None:
    one = finish(open_searches(space(), tmp_path / "a")["lstm"])
    other = finish(open_searches(space(seed=1), tmp_path / "b")["lstm"])
    assert not {g["train.lr"] for g in one} & {g["train.lr"] for g in other}
    assert not {g["seed"] for g in one} & {g["seed"] for g in other}


def test_confirmation_seeds_are_fresh() -> None:
    s = space()
    trials = {trial_seed(s.seed, k) for k in range(2000)}
    fresh = {confirmation_seed(s.seed, k) for k in range(200)}
    assert len(fresh) == 200
    assert not trials & fresh


def test_a_grid_is_tried_once_each(tmp_path: Path) -> None:
    s = space(**GRID)
    search = open_searches(s, tmp_path / "j")["lstm"]
    settings = finish(search)
    points = [(g["train.lr"], g["clip.name"]) for g in settings]
    assert sorted(points) == sorted((a, b) for a in (0.1, 0.01, 0.001) for b in ("none", "norm"))
    assert planned_trials(s) == 6
    assert finish(open_searches(s, tmp_path / "j")["lstm"]) == []


def test_a_grid_survives_a_kill_while_it_is_laid_out(tmp_path: Path) -> None:
    s = space(**GRID)
    whole = tmp_path / "whole"
    open_searches(s, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        cut = tmp_path / f"cut{kept}"
        cut.write_bytes(b"".join(lines[:kept]))
        settings = finish(open_searches(s, cut)["lstm"])
        points = {(g["train.lr"], g["clip.name"]) for g in settings}
        assert len(settings) == len(points) == 6, f"after {kept} of {len(lines)} lines"


def test_true_and_one_are_different_values(tmp_path: Path) -> None:
    s = space(
        trials=20,
        compare={},
        fixed={"task.name": "digits"},
        search={"task.permuted": {"values": (True, False)}},
    )
    found = {g["task.permuted"] for g in finish(open_searches(s, tmp_path / "j")["all"])}
    assert found == {True, False}
    assert all(isinstance(value, bool) for value in found)


def test_more_trials_extend_and_fewer_take_nothing_back(tmp_path: Path) -> None:
    first = finish(open_searches(space(), tmp_path / "j")["lstm"])
    more = open_searches(space(trials=8), tmp_path / "j")["lstm"]
    assert more.remaining == 2
    later = finish(more)
    assert len(later) == 2
    assert first + later == finish(open_searches(space(trials=8), tmp_path / "k")["lstm"])
    assert open_searches(space(trials=3), tmp_path / "j")["lstm"].remaining == 0


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"seed": 5}, f"seed was {space().seed}, is 5"),
        ({"sampler": "tpe"}, 'sampler was "sobol", is "tpe"'),
        ({"fixed": {"train.steps": 90, "train.evaluate_every": 10}}, "train.steps was 80, is 90"),
        ({"search": {"train.lr": {"low": 0.01, "high": 0.1, "log": True}}}, "low was 0.001"),
        ({"compare": {"cell": {"lstm": {"model.cell": "lstm"}}}}, "gru is gone"),
        (
            {"compare": {"cell": {"LSTM": {"model.cell": "lstm"}, "GRU": {"model.cell": "gru"}}}},
            "LSTM is new",
        ),
        ({"compare": {"phi": {"tanh": {"model.phi": "tanh"}}}}, "compare"),
    ],
)
def test_a_changed_space_is_refused_and_nothing_is_written(
    changes: dict[str, Any], fragment: str, tmp_path: Path
) -> None:
    path = tmp_path / "j"
    for search in open_searches(space(), path).values():
        finish(search, 1)
    before = path.read_bytes()
    with pytest.raises(UserError) as refusal:
        open_searches(space(**changes), path)
    text = str(refusal.value)
    assert fragment in text
    assert "--as" in text
    assert "\n" not in text
    assert path.read_bytes() == before


@pytest.mark.parametrize("changes", [{"question": "?"}, {"confirmations": 9}, {"notes": "x"}])
def test_words_and_budgets_may_change(changes: dict[str, Any], tmp_path: Path) -> None:
    open_searches(space(), tmp_path / "j")
    open_searches(space(**changes), tmp_path / "j")


# Telling


def test_telling_twice_changes_nothing(tmp_path: Path) -> None:
    search = open_searches(space(), tmp_path / "j")["lstm"]
    trial = search.ask()
    search.tell(trial.number, "solved", -0.5)
    search.tell(trial.number, "solved", 3.0)
    search.tell(trial.number, "failed", None)
    (told,) = search.trials
    assert (told.state, told.value) == (TrialState.COMPLETE, -0.5)


@pytest.mark.parametrize(
    ("outcome", "score", "reported", "state"),
    [
        ("solved", -0.2, True, TrialState.COMPLETE),
        ("budget", 0.7, False, TrialState.COMPLETE),
        ("diverged", 10.0, True, TrialState.COMPLETE),
        ("pruned", 0.9, True, TrialState.PRUNED),
        ("failed", None, True, TrialState.FAIL),
    ],
)
def test_outcomes_as_optuna_sees_them(
    outcome: str, score: float | None, reported: bool, state: TrialState, tmp_path: Path
) -> None:
    search = open_searches(space(), tmp_path / "j")["lstm"]
    trial = search.ask()
    if reported:
        search.report(trial, 10, 0.9)
    search.tell(trial.number, outcome, score)
    assert search.trials[0].state == state
    assert search.remaining == 5  # a failed trial has had its turn


def test_a_trial_pruned_at_once_is_not_running(tmp_path: Path) -> None:
    search = open_searches(space(), tmp_path / "j")["lstm"]
    search.tell(search.ask().number, "pruned", 0.9)
    assert search.trials[0].state.is_finished()


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(pruner: str, tmp_path: Path) -> None:
    search = open_searches(space(pruner=pruner, trials=20), tmp_path / "j")["lstm"]
    for _ in range(8):
        trial = search.ask()
        for step in range(0, 81, 10):
            search.report(trial, step, 0.5)
        search.tell(trial.number, "budget", 0.5)
    bad, good = search.ask(), search.ask()
    answers = {step: search.report(bad, step, 5.0) for step in range(0, 81, 10)}
    assert {type(answer) for answer in answers.values()} == {bool}  # JSON takes it to the worker
    pruned_at = [step for step, answer in answers.items() if answer]
    assert pruned_at, "never pruned"
    assert pruned_at[0] > 0
    assert not any(search.report(good, step, 0.01) for step in range(0, 81, 10))


@pytest.mark.parametrize("pruner", ["median", "halving", "beaten"])
def test_no_trial_is_pruned_that_has_used_all_its_updates(pruner: str, tmp_path: Path) -> None:
    search = open_searches(space(pruner=pruner, trials=20), tmp_path / "j")["lstm"]
    for _ in range(8):
        search.report(trial := search.ask(), 80, 0.1)
        search.tell(trial.number, "solved", -0.5)
    assert not search.report(search.ask(), 80, 5.0)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_what_is_beaten_could_not_have_been_chosen(workers: int, tmp_path: Path) -> None:
    """Arms whose trials solve at made-up updates, trained side by side with pruning."""
    draws = random.Random(workers)
    pruned = 0
    for arm in range(5):
        solving = [draws.choice([None, 0, 10, 20, 40, 70, 80]) for _ in range(7)]
        s = space(name=f"s{arm}", pruner="beaten", trials=7, search={})
        search = open_searches(s, tmp_path / s.name)["lstm"]
        at: dict[int, tuple[Any, int]] = {}  # trial and its next evaluation
        scores: dict[int, float] = {}
        while search.remaining or at:
            while search.remaining and len(at) < workers:
                trial = search.ask()
                at[trial.number] = (trial, 0)
            number = draws.choice(sorted(at))
            trial, step = at.pop(number)
            if step == solving[number]:
                scores[number] = step / 80 - 1
                search.tell(number, "solved", scores[number])
            elif search.report(trial, step, 0.9):
                assert step < 80
                pruned += 1
                search.tell(number, "pruned", 0.9)
            elif step == 80:
                scores[number] = 0.9
                search.tell(number, "budget", 0.9)
            else:
                at[number] = (trial, step + 10)
        whole = {k: 0.9 if step is None else step / 80 - 1 for k, step in enumerate(solving)}
        assert min(scores, key=lambda k: (scores[k], k)) == min(whole, key=lambda k: (whole[k], k))
    assert pruned > 4


def test_nothing_is_beaten_while_nothing_has_solved(tmp_path: Path) -> None:
    search = open_searches(space(pruner="beaten", trials=20), tmp_path / "j")["lstm"]
    for _ in range(8):
        search.tell(search.ask().number, "budget", 0.01)
    hopeless = search.ask()
    assert not any(search.report(hopeless, step, 9.0) for step in range(0, 81, 10))


def test_whether_a_trial_is_beaten_goes_by_its_own_updates(tmp_path: Path) -> None:
    s = space(
        pruner="beaten",
        trials=20,
        fixed={"train.evaluate_every": 10},
        search={"train.steps": {"values": (100, 200)}},
    )
    search = open_searches(s, tmp_path / "j")["lstm"]
    search.tell(search.ask().number, "solved", -0.5)
    for _ in range(4):
        trial = search.ask()
        half = search.configure(trial)["train.steps"] // 2
        assert not search.report(trial, half - 10, 0.9)
        assert search.report(trial, half, 0.9)


def test_without_a_pruner_nothing_is_pruned(tmp_path: Path) -> None:
    search = open_searches(space(), tmp_path / "j")["lstm"]
    for _ in range(5):
        trial = search.ask()
        assert not any(search.report(trial, step, 0.1) for step in range(0, 81, 10))
        search.tell(trial.number, "budget", 0.1)
    bad = search.ask()
    assert not any(search.report(bad, step, 99.0) for step in range(0, 81, 10))


def test_a_loss_that_is_not_finite_is_not_reported(tmp_path: Path) -> None:
    search = open_searches(space(pruner="median"), tmp_path / "j")["lstm"]
    trial = search.ask()
    assert not search.report(trial, 10, float("nan"))
    assert not search.report(trial, 20, float("inf"))
    assert search.trials[0].intermediate_values == {}


def test_reporting_a_step_again_after_a_restart_is_harmless(tmp_path: Path) -> None:
    search = open_searches(space(pruner="median"), tmp_path / "j")["lstm"]
    trial = search.ask()
    for _ in range(2):
        search.report(trial, 10, 0.5)
    assert search.trials[0].intermediate_values == {10: 0.5}


# What a kill leaves of the journal


def test_half_a_last_line_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "j"
    before = finish(open_searches(space(), path)["lstm"], 3)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 6, "worker_id": "x", "tri')
    search = open_searches(space(), path)["lstm"]
    assert [search.configured(k) for k in range(3)] == before
    assert len(finish(search)) == 3
    for line in path.read_bytes().splitlines():
        json.loads(line)


def test_any_cut_through_the_journal_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    s = space(trials=2, compare={})
    whole = finish(open_searches(s, path)["all"])
    content = path.read_bytes()
    for cut in range(0, len(content), 97):
        part = tmp_path / f"cut{cut}"
        part.write_bytes(content[:cut])
        search = open_searches(s, part)["all"]
        for trial in search.unfinished():
            search.configure(trial)
            search.tell(trial.number, "budget", 0.5)
        finish(search)
        assert [search.configured(k) for k in range(2)] == whole, f"cut at byte {cut}"
        assert {t.state for t in search.trials} == {TrialState.COMPLETE}


def test_a_stale_lock_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "j"
    finish(open_searches(space(), path)["lstm"], 1)
    for name in ("j.lock", "j.lock.rename-me"):
        (tmp_path / name).write_text("")
    assert len(finish(open_searches(space(), path)["lstm"])) == 5


@pytest.mark.parametrize(
    "content", [b"no journal at all\n", b"\xff\xfe\x00\n", b'{"a": 1}\n', b"[]\n"]
)
def test_a_file_that_is_no_journal_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(UserError, match="journal") as refusal:
        open_searches(space(), path)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == content


def test_a_folder_in_the_journals_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    with pytest.raises(UserError, match="journal"):
        Journal(tmp_path / "j")
